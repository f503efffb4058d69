//! An answer on its way to a client of HTTP/2: one that takes nothing of it does not hold the guest for ever.
//!
//! A whole connection that stands still is found out by its stream. On one that goes on, an answer whose window
//! is full is just not asked for more; so somebody else must look at it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::sleep;

use crate::BoxError;

/// The body of an answer, until it is whole or nobody has asked for more of it for too long.
pub struct Sent<B>(Arc<Shared<B>>);

struct Shared<B> {
    /// Gone once it was given up.
    body: Mutex<Option<Pin<Box<B>>>>,
    /// Somebody asked since it was looked at last.
    asked: AtomicBool,
    /// It waits for the guest, not for the client.
    awaited: AtomicBool,
}

impl<B: Body<Data = Bytes> + Send + 'static> Sent<B> {
    /// Gives `body` up when for `patience` it has more and nobody asks for it. In a runtime that knows time.
    pub fn new(body: B, patience: Duration) -> Self {
        let shared = Arc::new(Shared {
            body: Mutex::new(Some(Box::pin(body))),
            asked: AtomicBool::new(true),
            awaited: AtomicBool::new(false),
        });
        tokio::spawn(look_after(Arc::downgrade(&shared), patience));
        Self(shared)
    }
}

impl<B> Shared<B> {
    fn body(&self) -> MutexGuard<'_, Option<Pin<Box<B>>>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look_after<B>(shared: Weak<Shared<B>>, patience: Duration) {
    loop {
        sleep(patience).await;
        let Some(shared) = shared.upgrade() else { return };
        let asked = shared.asked.swap(false, Ordering::Relaxed) || shared.awaited.load(Ordering::Relaxed);
        if !asked {
            // Dropped outside of the lock: that may be the end of a guest.
            let given_up = shared.body().take();
            return drop(given_up);
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for Sent<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.asked.store(true, Ordering::Relaxed);
        let Some(frame) = self.0.body().as_mut().map(|body| body.as_mut().poll_frame(task)) else {
            return Poll::Ready(Some(Err("the client takes nothing".into())));
        };
        self.0.awaited.store(frame.is_pending(), Ordering::Relaxed);
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
    async fn what_nobody_asks_for_is_given_up() {
        let (body, sender) = body();
        let mut sent = Box::pin(Sent::new(body, PATIENCE));
        sender.send(Bytes::from_static(b"a")).await.unwrap();
        assert!(poll_fn(|task| sent.as_mut().poll_frame(task)).await.unwrap().is_ok());
        sleep(3 * PATIENCE).await;
        assert!(sender.is_closed(), "the guest may stop");
        assert!(poll_fn(|task| sent.as_mut().poll_frame(task)).await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_may_take_its_time() {
        let (body, sender) = body();
        let mut sent = Box::pin(Sent::new(body, PATIENCE));
        let waits = poll_fn(|task| Poll::Ready(sent.as_mut().poll_frame(task).is_pending())).await;
        assert!(waits);
        sleep(9 * PATIENCE).await;
        sender.send(Bytes::from_static(b"a")).await.unwrap();
        assert!(poll_fn(|task| sent.as_mut().poll_frame(task)).await.unwrap().is_ok());
    }
}
