//! Queues requests for a new instance while there is no memory for one: live instances will free theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, Notify};

use crate::Failure;

/// The live instances, and the requests that wait for one of them to end.
#[derive(Default)]
pub struct Turns {
    live: AtomicUsize,
    waiters: AtomicUsize,
    /// Held by the first in the queue.
    queue: Mutex<()>,
    /// How often memory was released.
    given_back: AtomicUsize,
    released: Notify,
}

/// Counts an instance that is live or being created. Must be dropped after the instance.
pub struct LiveInstance(Arc<Turns>);

impl LiveInstance {
    /// Counts one more.
    pub fn new(turns: &Arc<Turns>) -> Self {
        turns.live.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(turns))
    }
}

impl Drop for LiveInstance {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
        self.0.give_back();
    }
}

/// Counts one waiting request, until dropped.
struct Waiter<'a>(&'a Turns);

impl<'a> Waiter<'a> {
    fn new(turns: &'a Turns) -> Self {
        turns.waiters.fetch_add(1, Ordering::SeqCst);
        Self(turns)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Turns {
    /// Reports that an instance is idle or has ended: wakes the first in the queue.
    pub fn give_back(&self) {
        self.given_back.fetch_add(1, Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) > 0 {
            self.released.notify_one();
        }
    }

    /// Calls `make` until it succeeds: at once, then, first come first served, whenever an instance was given back.
    ///
    /// # Errors
    /// [`Failure::NoRoom`] when no live instance could release memory; any other error of `make`.
    pub async fn take<T, M>(self: &Arc<Self>, make: impl Fn(LiveInstance) -> M) -> Result<T, Failure>
    where
        M: Future<Output = Result<T, Failure>>,
    {
        if self.waiters.load(Ordering::SeqCst) == 0 {
            match make(LiveInstance::new(self)).await {
                Err(Failure::NoRoom(_)) => {}
                made => return made,
            }
        }
        let _waiter = Waiter::new(self);
        let _first = self.queue.lock().await;
        loop {
            let before = self.given_back.load(Ordering::SeqCst);
            match make(LiveInstance::new(self)).await {
                Err(Failure::NoRoom(_)) if self.live.load(Ordering::SeqCst) > 0 => {
                    // The attempt itself has given back once.
                    while self.given_back.load(Ordering::SeqCst) == before + 1 {
                        self.released.notified().await;
                    }
                }
                made => return made,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Makes something while one of `room` is left.
    async fn make(
        room: &Arc<Semaphore>,
        live: LiveInstance,
    ) -> Result<(LiveInstance, tokio::sync::OwnedSemaphorePermit), Failure> {
        tokio::task::yield_now().await;
        let one = Arc::clone(room).try_acquire_owned();
        one.map(|one| (live, one)).map_err(|_| Failure::NoRoom("full".into()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_are_made_with_room_for_few() {
        let (turns, room) = (Arc::new(Turns::default()), Arc::new(Semaphore::new(3)));
        let all = (0..200).map(|_| {
            let (turns, room) = (Arc::clone(&turns), Arc::clone(&room));
            tokio::spawn(async move {
                let (live, one) = turns.take(|live| make(&room, live)).await.unwrap();
                sleep(Duration::from_millis(1)).await;
                drop(one);
                drop(live);
            })
        });
        let all: Vec<_> = all.collect();
        for one in all {
            timeout(Duration::from_secs(20), one).await.expect("none waits for ever").unwrap();
        }
        assert_eq!((turns.live.load(Ordering::SeqCst), turns.waiters.load(Ordering::SeqCst)), (0, 0));
    }

    #[tokio::test]
    async fn without_a_live_instance_it_fails_at_once() {
        let (turns, room) = (Arc::new(Turns::default()), Arc::new(Semaphore::new(0)));
        let made = turns.take(|live| make(&room, live)).await;
        assert!(matches!(made, Err(Failure::NoRoom(_))));
    }

    #[tokio::test]
    async fn waiting_does_not_spin() {
        let (turns, room) = (Arc::new(Turns::default()), Arc::new(Semaphore::new(1)));
        let held = turns.take(|live| make(&room, live)).await.unwrap();
        let tries = AtomicUsize::new(0);
        let waits = turns.take(|live| {
            tries.fetch_add(1, Ordering::SeqCst);
            make(&room, live)
        });
        assert!(timeout(Duration::from_millis(50), waits).await.is_err());
        assert_eq!(tries.load(Ordering::SeqCst), 2, "at once and in the queue");
        drop(held);
        assert!(turns.take(|live| make(&room, live)).await.is_ok(), "a waiter that gave up holds no place");
    }
}
