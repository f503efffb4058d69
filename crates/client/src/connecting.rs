//! The time-outs of one request: connecting, TLS included, then the head of the response.
//!
//! Requests share pooled connections, but each has its own time-outs, and the time spent connecting does not count
//! towards the response.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use tokio::task_local;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::BoxError;

task_local! {
    /// The request that a new connection is made for: the pool passes its connector only the URI.
    static REQUEST: Arc<Connecting>;
}

/// The connect time-out of a request and how far its connection is.
pub struct Connecting {
    max: Duration,
    state: Mutex<ConnectState>,
}

#[derive(Clone, Copy)]
enum ConnectState {
    /// No connection was started for it; it may use a pooled one.
    Idle,
    Connecting,
    /// Finished, successfully or not, at this time.
    Finished(Instant),
}

impl Connecting {
    /// A request whose connection may take up to `max`.
    pub fn new(max: Duration) -> Arc<Self> {
        Arc::new(Self { max, state: Mutex::new(ConnectState::Idle) })
    }

    /// Awaits `response` for up to `max`, counted from when there is a connection.
    ///
    /// # Errors
    /// When it takes longer.
    pub async fn response<T>(
        self: Arc<Self>,
        max: Duration,
        response: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let mut response = pin!(REQUEST.scope(Arc::clone(&self), response));
        let mut since = Instant::now();
        loop {
            match timeout(max.saturating_sub(since.elapsed()), response.as_mut()).await {
                Ok(response) => return Ok(response),
                Err(elapsed) => match self.state() {
                    ConnectState::Connecting => since = Instant::now(),
                    ConnectState::Finished(at) if at > since => since = at,
                    _ => return Err(elapsed),
                },
            }
        }
    }

    fn state(&self) -> ConnectState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: ConnectState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// A connector that applies the connect time-out of the request it connects for.
#[derive(Clone)]
pub struct InTime<C>(pub C);

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri, Error = BoxError, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connected = self.0.call(to);
        let Ok(request) = REQUEST.try_with(Arc::clone) else { return Box::pin(connected) };
        Box::pin(async move {
            request.set(ConnectState::Connecting);
            let connected = timeout(request.max, connected).await;
            request.set(ConnectState::Finished(Instant::now()));
            connected.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::TimedOut).into()))
        })
    }
}
