//! How many requests are answered at once, and how many may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds, and who is within them.
pub struct Admission {
    running: Arc<Semaphore>,
    most_running: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// One request's place; it is free again when this and all its clones are dropped.
#[derive(Clone, Debug)]
pub struct Permit {
    _place: Arc<OwnedSemaphorePermit>,
    began: Arc<AtomicBool>,
}

impl Permit {
    /// Says that the application is at work: until then the request waits for its turn as in the queue, and one that
    /// waited too long is answered with 503.
    pub fn begin(&self) {
        self.began.store(true, Ordering::Relaxed);
    }
}

/// Counts one who waits, for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// Nobody is in.
    pub fn new(most_running: usize, most_waiting: usize) -> Self {
        let running = Arc::new(Semaphore::new(most_running));
        Self { running, most_running, waiting: AtomicUsize::new(0), most_waiting }
    }

    /// A place, at once or after waiting for it; `None` when too many wait already. `began` is told of
    /// [`Permit::begin`].
    pub async fn enter(&self, began: &Arc<AtomicBool>) -> Option<Permit> {
        let permit = |place| Permit { _place: Arc::new(place), began: Arc::clone(began) };
        let place = Arc::clone(&self.running);
        if let Ok(place) = Arc::clone(&place).try_acquire_owned() {
            return Some(permit(place));
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.most_waiting {
            return None;
        }
        place.acquire_owned().await.ok().map(permit)
    }

    /// Waits until nobody is in.
    pub async fn idle(&self) {
        let all = u32::try_from(self.most_running).unwrap_or(u32::MAX);
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
    async fn places_then_the_queue_then_no_more() {
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
