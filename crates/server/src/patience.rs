//! A time-out that restarts with each sign of progress.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// How long to wait for the next sign of progress.
#[derive(Debug)]
pub struct Patience {
    max: Duration,
    /// Armed while there is none.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// The time-out expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled;

impl Patience {
    /// Waits up to `max`.
    pub fn new(max: Duration) -> Self {
        Self { max, waiting: None }
    }

    /// Passes on `outcome`, or [`Stalled`] when it has been pending for too long.
    pub fn poll<T>(&mut self, task: &mut Context<'_>, outcome: Poll<T>) -> Poll<Result<T, Stalled>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.waiting = None;
                Poll::Ready(Ok(outcome))
            }
            Poll::Pending => {
                let max = self.max;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(max)));
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
    async fn progress_restarts_the_timeout() {
        const MAX: Duration = Duration::from_secs(10);
        let mut patience = Patience::new(MAX);
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
