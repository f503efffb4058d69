//! Limits how many requests run at once, and how many wait in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits, and the requests that count against them.
pub struct Admission {
    running: Arc<Semaphore>,
    max_running: usize,
    queued: AtomicUsize,
    max_queued: usize,
}

/// One running request; released when this and all its clones are dropped.
#[derive(Clone, Debug)]
pub struct Permit {
    _running: Arc<OwnedSemaphorePermit>,
    began: Arc<AtomicBool>,
}

impl Permit {
    /// Reports that the application is at work. Until then the request counts as queued, and a time-out is answered
    /// with 503 instead of 504.
    pub fn begin(&self) {
        self.began.store(true, Ordering::Relaxed);
    }
}

/// Counts one queued request, until dropped.
struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// No request runs or waits yet.
    pub fn new(max_running: usize, max_queued: usize) -> Self {
        let running = Arc::new(Semaphore::new(max_running));
        Self { running, max_running, queued: AtomicUsize::new(0), max_queued }
    }

    /// A permit, at once or after queueing; `None` when the queue is full. [`Permit::begin`] sets `began`.
    pub async fn enter(&self, began: &Arc<AtomicBool>) -> Option<Permit> {
        let permit = |running| Permit { _running: Arc::new(running), began: Arc::clone(began) };
        let running = Arc::clone(&self.running);
        if let Ok(running) = Arc::clone(&running).try_acquire_owned() {
            return Some(permit(running));
        }
        let before = self.queued.fetch_add(1, Ordering::Relaxed);
        let _queued = Queued(&self.queued);
        if before >= self.max_queued {
            return None;
        }
        running.acquire_owned().await.ok().map(permit)
    }

    /// Waits until no request runs.
    pub async fn idle(&self) {
        let all = u32::try_from(self.max_running).unwrap_or(u32::MAX);
        // Nothing closes the semaphore.
        let _ = self.running.acquire_many(all).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn permits_then_the_queue_then_no_more() {
        let (admission, began) = (Admission::new(1, 1), Arc::default());
        let first = admission.enter(&began).await.unwrap();
        let mut second = pin!(admission.enter(&began));
        let waits = poll_fn(|task| Poll::Ready(second.as_mut().poll(task).is_pending())).await;
        assert!(waits);
        assert!(admission.enter(&began).await.is_none(), "one waits already");
        let kept = first.clone();
        drop(first);
        let waits = poll_fn(|task| Poll::Ready(second.as_mut().poll(task).is_pending())).await;
        assert!(waits && !began.load(Ordering::Relaxed));
        kept.begin();
        assert!(began.load(Ordering::Relaxed));
        drop(kept);
        assert!(second.await.is_some());
        assert!(admission.enter(&began).await.is_some(), "the second's permit was dropped");
        admission.idle().await;
    }
}
