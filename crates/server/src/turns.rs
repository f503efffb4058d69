//! Whose turn it is to make an instance of the guest where there is no memory for one more: instances that are there give
//! theirs back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, Notify};

use crate::Failure;

/// The instances that are there, and who waits for one of them to go.
#[derive(Default)]
pub struct Turns {
    there: AtomicUsize,
    waiting: AtomicUsize,
    line: Mutex<()>,
    /// How often something was given back.
    given_back: AtomicUsize,
    news: Notify,
}

/// One instance that is there or is being made, while this is held: to be dropped after the instance.
pub struct There(Arc<Turns>);

impl There {
    /// One more.
    pub fn new(turns: &Arc<Turns>) -> Self {
        turns.there.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(turns))
    }
}

impl Drop for There {
    fn drop(&mut self) {
        self.0.there.fetch_sub(1, Ordering::SeqCst);
        self.0.give_back();
    }
}

/// Counts one who waits, for as long as it does.
struct Waiting<'a>(&'a Turns);

impl<'a> Waiting<'a> {
    fn new(turns: &'a Turns) -> Self {
        turns.waiting.fetch_add(1, Ordering::SeqCst);
        Self(turns)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Turns {
    /// Says that what an instance held is there for others.
    pub fn give_back(&self) {
        self.given_back.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.news.notify_one();
        }
    }

    /// What `make` makes, at once or, in the order of asking, when others have given back enough for it.
    ///
    /// # Errors
    /// [`Failure::NoRoom`] when nobody is there who could; what else `make` says.
    pub async fn take<T, M>(self: &Arc<Self>, make: impl Fn(There) -> M) -> Result<T, Failure>
    where
        M: Future<Output = Result<T, Failure>>,
    {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            match make(There::new(self)).await {
                Err(Failure::NoRoom(_)) => {}
                made => return made,
            }
        }
        let _waiting = Waiting::new(self);
        let _first = self.line.lock().await;
        loop {
            let before = self.given_back.load(Ordering::SeqCst);
            match make(There::new(self)).await {
                Err(Failure::NoRoom(_)) if self.there.load(Ordering::SeqCst) > 0 => {
                    // The attempt itself has given back once.
                    while self.given_back.load(Ordering::SeqCst) == before + 1 {
                        self.news.notified().await;
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
        there: There,
    ) -> Result<(There, tokio::sync::OwnedSemaphorePermit), Failure> {
        tokio::task::yield_now().await;
        let one = Arc::clone(room).try_acquire_owned();
        one.map(|one| (there, one)).map_err(|_| Failure::NoRoom("full".into()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_are_made_with_room_for_few() {
        let (turns, room) = (Arc::new(Turns::default()), Arc::new(Semaphore::new(3)));
        let all = (0..200).map(|_| {
            let (turns, room) = (Arc::clone(&turns), Arc::clone(&room));
            tokio::spawn(async move {
                let (there, one) = turns.take(|there| make(&room, there)).await.unwrap();
                sleep(Duration::from_millis(1)).await;
                drop(one);
                drop(there);
            })
        });
        let all: Vec<_> = all.collect();
        for one in all {
            timeout(Duration::from_secs(20), one).await.expect("nobody waits for ever").unwrap();
        }
        assert_eq!((turns.there.load(Ordering::SeqCst), turns.waiting.load(Ordering::SeqCst)), (0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_for_nobody() {
        let (turns, room) = (Arc::new(Turns::default()), Arc::new(Semaphore::new(0)));
        let made = turns.take(|there| make(&room, there)).await;
        assert!(matches!(made, Err(Failure::NoRoom(_))));
    }

    #[tokio::test]
    async fn who_waits_spins_not() {
        let (turns, room) = (Arc::new(Turns::default()), Arc::new(Semaphore::new(1)));
        let held = turns.take(|there| make(&room, there)).await.unwrap();
        let tries = AtomicUsize::new(0);
        let waits = turns.take(|there| {
            tries.fetch_add(1, Ordering::SeqCst);
            make(&room, there)
        });
        assert!(timeout(Duration::from_millis(50), waits).await.is_err());
        assert_eq!(tries.load(Ordering::SeqCst), 2, "at once and in the line");
        drop(held);
        assert!(turns.take(|there| make(&room, there)).await.is_ok(), "who left is not waited for");
    }
}
