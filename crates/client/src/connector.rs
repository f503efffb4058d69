//! Opens TCP connections to addresses that the egress rules allow, resolved by the container's own name servers.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use network::{Egress, LookupError};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

/// Connects to the host of a URI.
#[derive(Clone)]
pub struct Connector(Arc<Egress>);

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The host has no allowed address.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// No address accepted the connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The URI names no host.
    #[error("the request names no host")]
    NoHost,
}

impl Connector {
    /// Connects only where `egress` allows.
    pub fn new(egress: Arc<Egress>) -> Self {
        Self(egress)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _task: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let egress = Arc::clone(&self.0);
        Box::pin(async move { connect(&egress, &to).await.map(TokioIo::new) })
    }
}

/// Connects to the first address that accepts, trying each for ten seconds.
async fn connect(egress: &Egress, to: &Uri) -> Result<TcpStream, ConnectError> {
    const EACH: Duration = Duration::from_secs(10);
    let host = to.host().ok_or(ConnectError::NoHost)?;
    let default = if to.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let addresses = egress.resolve_allowed(host, to.port_u16().unwrap_or(default)).await?;
    let mut failed = io::Error::from(ErrorKind::HostUnreachable);
    for address in addresses {
        match timeout(EACH, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failed = error,
            Err(_) => failed = ErrorKind::TimedOut.into(),
        }
    }
    Err(failed.into())
}
