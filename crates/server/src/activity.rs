//! What goes on on a connection: whether anything is being answered, and since when nothing is.
//!
//! hyper gives a connection of HTTP/1 its time for each head, the first and those behind an answer. On one of HTTP/2 a
//! client that answers pings may ask for nothing for ever: that one is looked after here, and whoever has not said yet
//! which it speaks.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep};

/// One connection's.
#[derive(Clone, Debug)]
pub struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    begin: Instant,
    /// Requests whose answers are not whole yet.
    running: AtomicUsize,
    /// Milliseconds from the beginning until the last of them was.
    ended: AtomicU64,
    spoken: AtomicU8,
}

/// What a client was heard to speak.
const NOTHING: u8 = 0;
const HTTP_1: u8 = 1;
const HTTP_2: u8 = 2;

/// One request that is being answered, until this is dropped.
#[derive(Debug)]
pub struct Running(Arc<State>);

/// Why a connection has had its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// No request has come.
    Silent,
    /// The last one was answered long ago.
    Done,
}

impl Activity {
    /// Nothing was heard yet.
    pub fn new() -> Self {
        let (running, ended, spoken) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU8::new(NOTHING));
        Self(Arc::new(State { begin: Instant::now(), running, ended, spoken }))
    }

    /// A request's head has come.
    pub fn request(&self, version: Version) -> Running {
        self.0.running.fetch_add(1, Ordering::AcqRel);
        self.0.spoken.store(if version == Version::HTTP_2 { HTTP_2 } else { HTTP_1 }, Ordering::Relaxed);
        Running(Arc::clone(&self.0))
    }

    /// Waits until nothing was asked for `patience`. In a runtime that knows time.
    pub async fn idle(&self, patience: Duration) -> Idle {
        let mut left = patience;
        loop {
            sleep(left).await;
            let spoken = self.0.spoken.load(Ordering::Relaxed);
            if spoken == HTTP_1 {
                return pending().await;
            }
            if self.0.running.load(Ordering::Acquire) > 0 {
                left = patience;
                continue;
            }
            let ended = Duration::from_millis(self.0.ended.load(Ordering::Relaxed));
            left = patience.saturating_sub(self.0.begin.elapsed().saturating_sub(ended));
            if left.is_zero() {
                return if spoken == NOTHING { Idle::Silent } else { Idle::Done };
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.ended.store(now, Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Release);
    }
}

/// An answer's body, with the request that is being answered until it was passed on.
pub struct Answering<B> {
    body: B,
    _running: Running,
}

impl<B> Answering<B> {
    pub fn new(body: B, running: Running) -> Self {
        Self { body, _running: running }
    }
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_from_the_last_answer() {
        let activity = Activity::new();
        let begin = Instant::now();
        let first = activity.request(Version::HTTP_2);
        let ends = async {
            sleep(3 * PATIENCE).await;
            let second = activity.request(Version::HTTP_2);
            drop(first);
            sleep(PATIENCE / 2).await;
            drop(second);
        };
        let (idle, ()) = tokio::join!(activity.idle(PATIENCE), ends);
        assert_eq!((idle, begin.elapsed()), (Idle::Done, 4 * PATIENCE + PATIENCE / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_told_from_who_speaks_the_other_version() {
        let begin = Instant::now();
        assert_eq!((Activity::new().idle(PATIENCE).await, begin.elapsed()), (Idle::Silent, PATIENCE));
        let activity = Activity::new();
        drop(activity.request(Version::HTTP_11));
        assert!(timeout(9 * PATIENCE, activity.idle(PATIENCE)).await.is_err(), "hyper looks after it");
    }
}
