//! Connections: accepted within their limits, served until they end or the server drains.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use workload::Http;

use crate::activity::{Activity, Idle, Running};
use crate::admission::Admission;
use crate::respond::Responder;
use crate::room::{ConnectionSlot, Room};
use crate::stream::Patient;
use crate::tls::Tls;
use crate::{BoxError, Handler};

/// All connections of a server.
pub struct Connections<H> {
    server: Arc<ConnectionServer<H>>,
    room: Room,
}

/// What all connections share.
struct ConnectionServer<H> {
    responder: Responder<H>,
    http: Builder<TokioExecutor>,
    tls: Option<Tls>,
    draining: watch::Receiver<bool>,
}

impl<H: Handler> Connections<H> {
    /// No connection yet.
    pub fn new(
        handler: Arc<H>,
        settings: Http,
        admission: Arc<Admission>,
        tls: Option<Tls>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let (http, room) = (protocol(&settings), Room::new(&settings));
        let responder = Responder { handler, settings, admission };
        Self { server: Arc::new(ConnectionServer { responder, http, tls, draining }), room }
    }

    /// Waits for a free slot, accepts a connection, and spawns the task that serves it.
    pub async fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        let Some(free) = self.room.free().await else { return Ok(()) };
        let (stream, peer) = listener.accept().await?;
        // A connection above the limit per client is closed unread.
        if let Some(slot) = self.room.take(free, peer.ip()) {
            tokio::spawn(serve(Arc::clone(&self.server), stream, slot));
        }
        Ok(())
    }

    /// Waits until all connections have ended.
    pub async fn finished(&self) {
        self.room.empty().await;
    }
}

/// HTTP/1.1 and HTTP/2, each with the limits of `settings`.
fn protocol(settings: &Http) -> Builder<TokioExecutor> {
    /// A dead peer is detected after two of these.
    const ALIVE: Duration = Duration::from_secs(30);
    let max_header = u32::try_from(settings.max_header).unwrap_or(u32::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_buf_size(settings.max_header)
        // No `pipeline_flush`: it holds responses back while bytes of the client are buffered, and if those never
        // become a request, their refusal or the response before it would not be sent.
        // A client may shut down its side and still wait for the response.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(max_header)
        .max_concurrent_streams(u32::try_from(settings.concurrency).unwrap_or(u32::MAX))
        .keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE);
    builder
}

async fn serve<H: Handler>(server: Arc<ConnectionServer<H>>, stream: TcpStream, _slot: ConnectionSlot) {
    let patience = server.responder.settings.header_timeout;
    match &server.tls {
        None => serve_http(&server, stream).await,
        Some(tls) => {
            // A failed handshake is not logged: the client sees it.
            if let Ok(Ok(stream)) = timeout(patience, tls.accept(stream)).await {
                serve_http(&server, stream).await;
            }
        }
    }
}

/// The body, which keeps its request running until it is dropped; all else of it is passed on as it is.
fn holding<B>(body: B, running: Running) -> impl Body<Data = B::Data, Error = BoxError> + Send + Unpin
where
    B: Body<Error = BoxError> + Send + Unpin,
{
    body.map_err(move |error| {
        let _held = &running;
        error
    })
}

async fn serve_http<H: Handler>(
    server: &Arc<ConnectionServer<H>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let patience = server.responder.settings.header_timeout;
    let activity = Activity::new();
    let stream = Patient::new(stream, patience);
    let service = service_fn(|request: Request<Incoming>| {
        let running = activity.request(request.version());
        let server = Arc::clone(server);
        async move {
            let response = server.responder.respond(request).await;
            Ok::<_, Infallible>(response.map(|body| holding(body, running)))
        }
    });
    let mut connection = pin!(server.http.serve_connection(TokioIo::new(stream), service));
    let mut draining = server.draining.clone();
    let drains = async {
        // An error means that the server itself is gone.
        let _ = draining.wait_for(|draining| *draining).await;
    };
    // Connection errors are ignored: each request was already answered or its failure logged.
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = drains => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
        idle = activity.idle(patience) => if idle == Idle::Done {
            connection.as_mut().graceful_shutdown();
            // Bounded, for a client that does not read the GOAWAY.
            let _ = timeout(patience, connection).await;
        }
    }
}
