//! The kernel's monotonic clock, so that what a guest reads and what it waits for by a poll are the same.

use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};
use wasmtime_wasi::HostMonotonicClock;

/// `CLOCK_MONOTONIC`.
pub struct Monotonic;

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        nanoseconds(clock_getres(ClockId::Monotonic))
    }

    fn now(&self) -> u64 {
        now()
    }
}

/// Nanoseconds since the kernel's own beginning.
pub fn now() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
