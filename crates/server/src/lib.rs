//! The HTTP server in front of a guest: accepts, limits, answers for the guest when it cannot, and drains.
//!
//! HTTP/1.1 and HTTP/2, plain or over TLS. Requests go to a [`Handler`]; no engine is known here. Runs in the guest's
//! process, as the guest's user, and opens no files except its certificate and key.
//!
//! Unsafe code: `process` only.

mod activity;
mod admission;
mod body;
mod canned;
mod connection;
mod framing;
mod http2_body;
mod patience;
mod pool;
#[expect(unsafe_code, reason = "a descriptor is watched")]
mod process;
mod respond;
mod room;
mod stream;
mod tls;
mod turns;

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use workload::Http;

pub use admission::Permit;
pub use body::{BodyError, RequestBody};
pub use canned::Failure;
pub use pool::{Pool, Pooled};
pub use process::{Process, threads};

use admission::Admission;
use connection::Connections;
use tls::Tls;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Handles requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of a response; it may be streamed.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Handles one request. Calls [`Permit::begin`] when it starts to work, and holds the permit for as long as the
    /// request takes resources, which may outlast the returned future. Dropping the future cancels the request.
    fn handle(
        self: Arc<Self>,
        request: Request<RequestBody>,
        permit: Permit,
    ) -> impl Future<Output = Result<Response<Self::Body>, Failure>> + Send;
}

/// A server that is ready to run.
pub struct Server {
    settings: Http,
    socket: OwnedFd,
    tls: Option<Tls>,
}

/// How a stopped server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Whole,
    /// Some requests were still in flight when the grace period ended.
    Cut,
}

impl Server {
    /// Prepares to serve `socket`, which must be listening when the server runs and have `TCP_NODELAY` set.
    ///
    /// # Errors
    /// Names the file of the certificate that cannot be read or used.
    pub fn new(settings: Http, socket: OwnedFd) -> anyhow::Result<Self> {
        let tls = settings.tls.as_ref().map(Tls::read).transpose()?;
        Ok(Self { settings, socket, tls })
    }

    /// Serves until `stop` completes, then drains: until all requests are complete or the grace period ends. Needs a
    /// Tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub async fn run<H: Handler>(
        self,
        handler: Arc<H>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<Drained> {
        let listener = TcpListener::from(self.socket);
        listener.set_nonblocking(true).context("cannot watch the listening socket")?;
        let listener =
            tokio::net::TcpListener::from_std(listener).context("cannot watch the listening socket")?;
        let grace = self.settings.grace;
        let admission = Arc::new(Admission::new(self.settings.concurrency, self.settings.queue));
        let (draining, drained) = watch::channel(false);
        let mut connections =
            Connections::new(handler, self.settings, Arc::clone(&admission), self.tls, drained);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = connections.accept(&listener) => pause_if_full(accepted).await,
            }
        }
        drop(listener);
        let _ = draining.send(true);
        let finished = async {
            connections.finished().await;
            admission.idle().await;
        };
        Ok(timeout(grace, finished).await.map_or(Drained::Cut, |()| Drained::Whole))
    }
}

/// Pauses when too many files are open, in this process or on the node: connections wait in the backlog meanwhile.
async fn pause_if_full(accepted: io::Result<()>) {
    const PAUSE: Duration = Duration::from_millis(20);
    if accepted.is_err() {
        sleep(PAUSE).await;
    }
}
