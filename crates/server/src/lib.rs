//! The HTTP server in front of a guest: accepts, bounds, answers for the guest when it cannot, and drains.
//!
//! HTTP/1.1 and HTTP/2, plain or in TLS. Whoever answers a request is behind [`Answer`]; no engine is known
//! here. Runs in the guest's process, as the guest's user, and opens nothing but the files of its certificate.
//!
//! Unsafe code: `process` only.

mod activity;
mod admission;
mod body;
mod connection;
mod framing;
mod patience;
mod pool;
#[expect(unsafe_code, reason = "a descriptor is watched")]
mod process;
mod reply;
mod respond;
mod room;
mod sent;
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
pub use pool::{Pool, Pooled};
pub use process::{Process, threads};
pub use reply::Failure;

use admission::Admission;
use connection::Connections;
use tls::Tls;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who answers requests.
pub trait Answer: Send + Sync + 'static {
    /// The body of an answer, which may come bit by bit.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Answers one request, which begins when there is room for it ([`Permit::begin`]). The permit is held for as long
    /// as answering takes anything of the machine, which may be longer than until the answer begins. Dropped before it
    /// answers, it stops.
    fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        permit: Permit,
    ) -> impl Future<Output = Result<Response<Self::Body>, Failure>> + Send;
}

/// A server at its gate.
pub struct Server {
    settings: Http,
    socket: OwnedFd,
    tls: Option<Tls>,
}

/// How a server ended that was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Whole,
    /// Some were still being answered when the time was over.
    Cut,
}

impl Server {
    /// Prepares to serve `socket`, which listens when the server runs and does not wait for acknowledgements.
    ///
    /// # Errors
    /// Names the file of the certificate that cannot be read or used.
    pub fn new(settings: Http, socket: OwnedFd) -> anyhow::Result<Self> {
        let tls = settings.tls.as_ref().map(Tls::read).transpose()?;
        Ok(Self { settings, socket, tls })
    }

    /// Serves until `stop` has come, then until what runs is finished or the grace is over. In a runtime that
    /// knows sockets and time.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub async fn run<A: Answer>(
        self,
        answer: Arc<A>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<Drained> {
        let listener = TcpListener::from(self.socket);
        listener.set_nonblocking(true).context("cannot watch the listening socket")?;
        let listener =
            tokio::net::TcpListener::from_std(listener).context("cannot watch the listening socket")?;
        let grace = self.settings.grace;
        let admission = Arc::new(Admission::new(self.settings.concurrency, self.settings.queue));
        let (draining, told) = watch::channel(false);
        let mut connections = Connections::new(answer, self.settings, Arc::clone(&admission), self.tls, told);
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

/// Too many files are open, by this guest or on the whole node: connections wait in the kernel's queue meanwhile.
async fn pause_if_full(accepted: io::Result<()>) {
    const PAUSE: Duration = Duration::from_millis(20);
    if accepted.is_err() {
        sleep(PAUSE).await;
    }
}
