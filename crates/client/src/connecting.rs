//! How long a guest waits for a connection, TLS included, and from when on it waits for an answer: its requests share
//! connections, and each has time-outs of its own.

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
    /// The request that a new connection is made for: the pool tells its connector only where to.
    static REQUEST: Arc<Connecting>;
}

/// A request that may have to be connected first.
pub struct Connecting {
    most: Duration,
    stands: Mutex<Stands>,
}

#[derive(Clone, Copy)]
enum Stands {
    /// Nothing is connected for it; it may have found a connection.
    Idle,
    Making,
    Made(Instant),
}

impl Connecting {
    /// A request whose connection may take as long as `most`.
    pub fn new(most: Duration) -> Arc<Self> {
        Arc::new(Self { most, stands: Mutex::new(Stands::Idle) })
    }

    /// What `answered` comes to, unless it takes longer than `most` once there is a connection.
    ///
    /// # Errors
    /// When it does.
    pub async fn answered<T>(
        self: Arc<Self>,
        most: Duration,
        answered: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let mut answered = pin!(REQUEST.scope(Arc::clone(&self), answered));
        let mut since = Instant::now();
        loop {
            match timeout(most.saturating_sub(since.elapsed()), answered.as_mut()).await {
                Ok(answered) => return Ok(answered),
                Err(elapsed) => match self.stands() {
                    Stands::Making => since = Instant::now(),
                    Stands::Made(at) if at > since => since = at,
                    _ => return Err(elapsed),
                },
            }
        }
    }

    fn stands(&self) -> Stands {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, stands: Stands) {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner) = stands;
    }
}

/// A connector whose connections are made in the time that their requests give them.
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
            request.set(Stands::Making);
            let connected = timeout(request.most, connected).await;
            request.set(Stands::Made(Instant::now()));
            connected.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::TimedOut).into()))
        })
    }
}
