//! Tracks the requests in flight on a connection, and since when there are none.
//!
//! hyper's header time-out covers HTTP/1: the first head, and each head after a response. An HTTP/2 client that answers
//! pings could stay idle for ever; this module bounds that, and the time until a client has sent its first request.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Version;
use tokio::time::{Instant, sleep};

/// The activity of one connection.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    begin: Instant,
    /// Requests whose response is not complete.
    running: AtomicUsize,
    /// When the last response was complete, in milliseconds since `begin`.
    ended: AtomicU64,
    version: AtomicU8,
}

// The client's HTTP version, as far as known.
const UNKNOWN: u8 = 0;
const HTTP_1: u8 = 1;
const HTTP_2: u8 = 2;

/// A request in flight, until dropped.
#[derive(Debug)]
pub struct Running(Arc<Counters>);

/// Why a connection counts as idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// No request arrived.
    NoRequest,
    /// The last response was complete too long ago.
    Done,
}

impl Activity {
    /// A new connection, without requests.
    pub fn new() -> Self {
        let (running, ended, version) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU8::new(UNKNOWN));
        Self(Arc::new(Counters { begin: Instant::now(), running, ended, version }))
    }

    /// Counts a request whose head has arrived.
    pub fn request(&self, version: Version) -> Running {
        self.0.running.fetch_add(1, Ordering::AcqRel);
        self.0.version.store(if version == Version::HTTP_2 { HTTP_2 } else { HTTP_1 }, Ordering::Relaxed);
        Running(Arc::clone(&self.0))
    }

    /// Waits until no request was in flight for `patience`; for ever on HTTP/1. Needs a runtime with time enabled.
    pub async fn idle(&self, patience: Duration) -> Idle {
        let mut left = patience;
        loop {
            sleep(left).await;
            let version = self.0.version.load(Ordering::Relaxed);
            if version == HTTP_1 {
                return pending().await;
            }
            if self.0.running.load(Ordering::Acquire) > 0 {
                left = patience;
                continue;
            }
            let ended = Duration::from_millis(self.0.ended.load(Ordering::Relaxed));
            left = patience.saturating_sub(self.0.begin.elapsed().saturating_sub(ended));
            if left.is_zero() {
                return if version == UNKNOWN { Idle::NoRequest } else { Idle::Done };
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

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn idle_time_counts_from_the_last_response() {
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
    async fn a_silent_client_is_idle_and_one_of_http_1_is_left_to_hyper() {
        let begin = Instant::now();
        assert_eq!((Activity::new().idle(PATIENCE).await, begin.elapsed()), (Idle::NoRequest, PATIENCE));
        let activity = Activity::new();
        drop(activity.request(Version::HTTP_11));
        assert!(timeout(9 * PATIENCE, activity.idle(PATIENCE)).await.is_err(), "hyper bounds it");
    }
}
