//! Connections: accepted while there is room, served until they end or the server drains.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use workload::Http;

use crate::Answer;
use crate::activity::{Activity, Answering, Idle};
use crate::admission::Admission;
use crate::respond::Responder;
use crate::room::{Place, Room};
use crate::stream::Patient;
use crate::tls::Tls;

/// All connections of a server.
pub struct Connections<A> {
    shared: Arc<Shared<A>>,
    room: Room,
}

struct Shared<A> {
    responder: Responder<A>,
    http: Builder<TokioExecutor>,
    tls: Option<Tls>,
    draining: watch::Receiver<bool>,
}

impl<A: Answer> Connections<A> {
    /// None yet.
    pub fn new(
        answer: Arc<A>,
        settings: Http,
        admission: Arc<Admission>,
        tls: Option<Tls>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let (http, room) = (protocol(&settings), Room::new(&settings));
        let responder = Responder { answer, settings, admission };
        Self { shared: Arc::new(Shared { responder, http, tls, draining }), room }
    }

    /// Accepts one more connection, once there is room for it, and has it served.
    pub async fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        let Some(free) = self.room.free().await else { return Ok(()) };
        let (stream, peer) = listener.accept().await?;
        // One too many of its client's is closed unheard.
        if let Some(place) = self.room.take(free, peer.ip()) {
            tokio::spawn(serve(Arc::clone(&self.shared), stream, place));
        }
        Ok(())
    }

    /// Waits until none is left.
    pub async fn finished(&self) {
        self.room.empty().await;
    }
}

/// HTTP/1.1 and 2, each within the bounds.
fn protocol(settings: &Http) -> Builder<TokioExecutor> {
    /// A peer that is gone is found out after two of these.
    const ALIVE: Duration = Duration::from_secs(30);
    let most_header = u32::try_from(settings.max_header).unwrap_or(u32::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_buf_size(settings.max_header)
        // Answers are not gathered while more of the client's bytes are held (`pipeline_flush`): what is held may
        // never become a request, and then its refusal, or the answer before it, would not be sent.
        // A client may close its side and still wait for the answer.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(most_header)
        .max_concurrent_streams(u32::try_from(settings.concurrency).unwrap_or(u32::MAX))
        .keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE);
    builder
}

async fn serve<A: Answer>(shared: Arc<Shared<A>>, stream: TcpStream, _place: Place) {
    let patience = shared.responder.settings.header_timeout;
    match &shared.tls {
        None => speak(&shared, stream).await,
        Some(tls) => {
            // A handshake that fails is the client's to know about.
            if let Ok(Ok(stream)) = timeout(patience, tls.accept(stream)).await {
                speak(&shared, stream).await;
            }
        }
    }
}

async fn speak<A: Answer>(
    shared: &Arc<Shared<A>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let patience = shared.responder.settings.header_timeout;
    let activity = Activity::new();
    let stream = Patient::new(stream, patience);
    let service = service_fn(|request: Request<Incoming>| {
        let running = activity.request(request.version());
        let shared = Arc::clone(shared);
        async move {
            let answer = shared.responder.respond(request).await;
            Ok::<_, Infallible>(answer.map(|body| Answering::new(body, running)))
        }
    });
    let mut connection = pin!(shared.http.serve_connection(TokioIo::new(stream), service));
    let mut draining = shared.draining.clone();
    let drains = async {
        // Told, or the server itself is gone.
        let _ = draining.wait_for(|draining| *draining).await;
    };
    // How a connection ends is its client's affair; what it asked for was answered or told in the log.
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = drains => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
        idle = activity.idle(patience) => if idle == Idle::Done {
            connection.as_mut().graceful_shutdown();
            // A client that does not read that it is over is not waited for.
            let _ = timeout(patience, connection).await;
        }
    }
}
