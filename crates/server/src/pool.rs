//! A pool of instances that answer requests, of any engine: created on demand, reused as often as the settings allow,
//! and created one after the other when memory is short.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Failure;
use crate::turns::{LiveInstance, Turns};

/// Instances of one guest, each of which answers one request at a time.
pub struct Pool<I> {
    reuse: u64,
    /// Those that may answer another request.
    idle: Mutex<Vec<Pooled<I>>>,
    turns: Arc<Turns>,
}

/// An instance, taken out of the pool while it works.
pub struct Pooled<I> {
    /// Dropped before `_live`.
    pub instance: I,
    answered: u64,
    _live: LiveInstance,
}

impl<I> Pooled<I> {
    /// Whether it has answered no request yet.
    pub fn is_fresh(&self) -> bool {
        self.answered == 0
    }
}

impl<I> Pool<I> {
    /// An empty pool, whose instances will answer `reuse` requests each.
    pub fn new(reuse: u64) -> Self {
        let (idle, turns) = Default::default();
        Self { reuse, idle, turns }
    }

    /// An idle instance, or a fresh one that `make` creates when there is memory for it.
    ///
    /// # Errors
    /// [`Failure::NoRoom`] when there is none and no live instance could free any; any other error of `make`.
    pub async fn take<M>(&self, make: impl Fn() -> M) -> Result<Pooled<I>, Failure>
    where
        M: Future<Output = Result<I, Failure>>,
    {
        let make = &make;
        let idle_or_fresh = |live| async move {
            match self.pop() {
                Some(idle) => Ok(idle),
                None => fresh(make, live).await,
            }
        };
        self.turns.take(idle_or_fresh).await
    }

    /// A fresh instance.
    ///
    /// # Errors
    /// See [`take`](Self::take).
    pub async fn make<M>(&self, make: impl Fn() -> M) -> Result<Pooled<I>, Failure>
    where
        M: Future<Output = Result<I, Failure>>,
    {
        self.turns.take(|live| fresh(&make, live)).await
    }

    /// Returns an instance that has answered to the pool, or drops it when it has answered `reuse` requests.
    pub fn give_back(&self, mut pooled: Pooled<I>) {
        pooled.answered += 1;
        if pooled.answered < self.reuse {
            self.idle().push(pooled);
            self.turns.give_back();
        }
    }

    fn pop(&self) -> Option<Pooled<I>> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Pooled<I>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fresh<I, M>(make: &impl Fn() -> M, live: LiveInstance) -> Result<Pooled<I>, Failure>
where
    M: Future<Output = Result<I, Failure>>,
{
    Ok(Pooled { instance: make().await?, answered: 0, _live: live })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn an_instance_answers_as_often_as_it_may() {
        let (pool, made) = (Pool::new(2), AtomicUsize::new(0));
        let make = || async { Ok(made.fetch_add(1, Ordering::Relaxed)) };
        let mut seen = Vec::new();
        for _ in 0..4 {
            let pooled = pool.take(make).await.unwrap();
            seen.push((pooled.instance, pooled.is_fresh()));
            pool.give_back(pooled);
        }
        assert_eq!(seen, [(0, true), (0, false), (1, true), (1, false)]);
        assert!(pool.make(make).await.unwrap().is_fresh());
    }
}
