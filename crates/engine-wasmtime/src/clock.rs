//! The kernel's monotonic clock: one clock for what a guest reads and for the timeouts it polls.

use std::time::Duration;

// Through libc, which uses the vDSO instead of a system call.
use nix::time::{ClockId, clock_getres, clock_gettime};
use wasmtime_wasi::HostMonotonicClock;

const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// `CLOCK_MONOTONIC` as the guest's clock.
pub struct Monotonic;

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        clock_getres(CLOCK).map_or(1, |resolution| nanoseconds(resolution.into()))
    }

    fn now(&self) -> u64 {
        now()
    }
}

/// Nanoseconds since boot, without time suspended.
pub fn now() -> u64 {
    // Every kernel has this clock.
    clock_gettime(CLOCK).map_or(0, |time| nanoseconds(time.into()))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
