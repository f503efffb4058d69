//! Heaps of malloc. The shim's processes have one each, since they are to hold little and have few threads; those that
//! answer requests would wait for each other at every larger allocation.

use std::num::NonZeroUsize;

/// Lets each of `threads`, none of which is made yet, have a heap of its own.
pub fn for_each_of(threads: NonZeroUsize) {
    #[cfg(target_env = "gnu")]
    // SAFETY: it only changes a number of malloc's, whatever it is given.
    unsafe {
        // Beside the first thread's and the clock's. Refused, it stays as it is, which is slower and no fault.
        libc::mallopt(libc::M_ARENA_MAX, i32::try_from(threads.get() + 2).unwrap_or(i32::MAX));
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = threads;
}
