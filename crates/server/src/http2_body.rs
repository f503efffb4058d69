//! Cancels an HTTP/2 response that its client does not read, so that it does not hold the guest for ever.
//!
//! A stalled connection is detected by its stream ([`crate::stream`]). On a connection that makes progress, hyper just
//! stops polling a response whose flow-control window is full; so a task of its own checks for that.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::sleep;

use crate::BoxError;

/// The body of a response, cancelled when it was not polled for too long.
pub struct Http2Body<B>(Arc<WatchedBody<B>>);

struct WatchedBody<B> {
    /// `None` once cancelled.
    body: Mutex<Option<Pin<Box<B>>>>,
    /// It was polled since the last check.
    polled: AtomicBool,
    /// It waits for the guest, not for the client.
    pending: AtomicBool,
}

impl<B: Body<Data = Bytes> + Send + 'static> Http2Body<B> {
    /// Cancels `body` when it has data but is not polled for `patience`. Needs a Tokio runtime with time enabled.
    pub fn new(body: B, patience: Duration) -> Self {
        let watched = Arc::new(WatchedBody {
            body: Mutex::new(Some(Box::pin(body))),
            polled: AtomicBool::new(true),
            pending: AtomicBool::new(false),
        });
        tokio::spawn(watch(Arc::downgrade(&watched), patience));
        Self(watched)
    }
}

impl<B> WatchedBody<B> {
    fn body(&self) -> MutexGuard<'_, Option<Pin<Box<B>>>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn watch<B>(watched: Weak<WatchedBody<B>>, patience: Duration) {
    loop {
        sleep(patience).await;
        let Some(watched) = watched.upgrade() else { return };
        let alive = watched.polled.swap(false, Ordering::Relaxed) || watched.pending.load(Ordering::Relaxed);
        if !alive {
            // Dropped outside of the lock: this may drop an instance of the guest.
            let cancelled = watched.body().take();
            return drop(cancelled);
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for Http2Body<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.polled.store(true, Ordering::Relaxed);
        let Some(frame) = self.0.body().as_mut().map(|body| body.as_mut().poll_frame(task)) else {
            return Poll::Ready(Some(Err("the client takes nothing".into())));
        };
        self.0.pending.store(frame.is_pending(), Ordering::Relaxed);
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.body().as_ref().is_some_and(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.body().as_ref().map_or_else(SizeHint::default, |body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Passes on what is sent to it.
    struct Passed(mpsc::Receiver<Bytes>);

    impl Body for Passed {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            task: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0.poll_recv(task).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn body() -> (Passed, mpsc::Sender<Bytes>) {
        let (sender, receiver) = mpsc::channel(1);
        (Passed(receiver), sender)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_not_polled_is_cancelled() {
        let (body, sender) = body();
        let mut sent = Box::pin(Http2Body::new(body, PATIENCE));
        sender.send(Bytes::from_static(b"a")).await.unwrap();
        assert!(poll_fn(|task| sent.as_mut().poll_frame(task)).await.unwrap().is_ok());
        sleep(3 * PATIENCE).await;
        assert!(sender.is_closed(), "the guest may stop");
        assert!(poll_fn(|task| sent.as_mut().poll_frame(task)).await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_may_take_its_time() {
        let (body, sender) = body();
        let mut sent = Box::pin(Http2Body::new(body, PATIENCE));
        let waits = poll_fn(|task| Poll::Ready(sent.as_mut().poll_frame(task).is_pending())).await;
        assert!(waits);
        sleep(9 * PATIENCE).await;
        sender.send(Bytes::from_static(b"a")).await.unwrap();
        assert!(poll_fn(|task| sent.as_mut().poll_frame(task)).await.unwrap().is_ok());
    }
}
