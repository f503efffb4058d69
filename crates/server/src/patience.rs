//! A bound on how long something may stand still.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// How long is waited for the next sign of life.
#[derive(Debug)]
pub struct Patience {
    most: Duration,
    /// Runs while there is none.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// It was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled;

impl Patience {
    /// Bounded by `most`.
    pub fn new(most: Duration) -> Self {
        Self { most, waiting: None }
    }

    /// Passes on what `outcome` has come to, or [`Stalled`] when nothing has come for too long.
    pub fn poll<T>(&mut self, task: &mut Context<'_>, outcome: Poll<T>) -> Poll<Result<T, Stalled>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.waiting = None;
                Poll::Ready(Ok(outcome))
            }
            Poll::Pending => {
                let most = self.most;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(most)));
                waiting.as_mut().poll(task).map(|()| Err(Stalled))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_sign_of_life_begins_it_anew() {
        const MOST: Duration = Duration::from_secs(10);
        let mut patience = Patience::new(MOST);
        let mut waits = async |signs: &mut Vec<Duration>| {
            let mut next = signs.pop().map(|after| Box::pin(sleep(after)));
            poll_fn(|task| {
                let outcome = next.as_mut().map_or(Poll::Pending, |next| next.as_mut().poll(task));
                patience.poll(task, outcome)
            })
            .await
        };
        let mut signs = vec![Duration::from_secs(11), Duration::from_secs(9), Duration::from_secs(9)];
        assert_eq!(waits(&mut signs).await, Ok(()));
        assert_eq!(waits(&mut signs).await, Ok(()));
        assert_eq!(waits(&mut signs).await, Err(Stalled));
    }
}
