//! The kernel's monotonic clock, so that what a guest reads and what it waits for by a poll are the same.

use std::time::Duration;

// By libc, which asks the kernel's page instead of the kernel.
use nix::time::{ClockId, clock_getres, clock_gettime};
use wasmtime_wasi::HostMonotonicClock;

/// `CLOCK_MONOTONIC`.
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// The clock that guests are given.
pub struct Monotonic;

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        clock_getres(CLOCK).map_or(1, |resolution| nanoseconds(resolution.into()))
    }

    fn now(&self) -> u64 {
        now()
    }
}

/// Nanoseconds since the kernel's own beginning.
pub fn now() -> u64 {
    // Every kernel has this clock.
    clock_gettime(CLOCK).map_or(0, |time| nanoseconds(time.into()))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
