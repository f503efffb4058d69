//! Connections: accepted while there is room, served until they end or the server drains.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use workload::Http;

use crate::Answer;
use crate::admission::Admission;
use crate::respond::Responder;
use crate::stream::{Heard, Patient};
use crate::tls::Tls;

/// All connections of a server.
pub struct Connections<A> {
    shared: Arc<Shared<A>>,
    room: Arc<Semaphore>,
    connections: usize,
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
        let connections = settings.connections;
        let http = protocol(&settings);
        let responder = Responder { answer, settings, admission };
        let room = Arc::new(Semaphore::new(connections));
        Self { shared: Arc::new(Shared { responder, http, tls, draining }), room, connections }
    }

    /// Accepts one more connection, once there is room for it, and has it served.
    pub async fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        // Nothing closes the semaphore.
        let Ok(place) = Arc::clone(&self.room).acquire_owned().await else { return Ok(()) };
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(Arc::clone(&self.shared), stream, place));
        Ok(())
    }

    /// Waits until none is left.
    pub async fn finished(&self) {
        let all = u32::try_from(self.connections).unwrap_or(u32::MAX);
        let _ = self.room.acquire_many(all).await;
    }
}

/// HTTP/1.1 and 2, each within the bounds.
fn protocol(settings: &Http) -> Builder<TokioExecutor> {
    /// A peer that is gone is found out after two of these.
    const ALIVE: Duration = Duration::from_secs(30);
    let most_header = u32::try_from(settings.most_header).unwrap_or(u32::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_buf_size(settings.most_header)
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

async fn serve<A: Answer>(shared: Arc<Shared<A>>, stream: TcpStream, _place: OwnedSemaphorePermit) {
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
    let heard = Heard::default();
    let stream = Patient::new(stream, shared.responder.settings.header_timeout, heard.clone());
    let service = service_fn(|request| {
        heard.set();
        let shared = Arc::clone(shared);
        async move { Ok::<_, Infallible>(shared.responder.respond(request).await) }
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
    }
}
