//! malloc's arenas. The shim's processes have one each, since they have few threads and should hold little memory; the
//! threads of one that answers requests would contend for it at every larger allocation.

use std::num::NonZeroUsize;

/// Allows an arena for each of `threads`. Must be called before they start.
pub fn for_each_of(threads: NonZeroUsize) {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets a number of malloc's, and accepts any value.
    unsafe {
        // Two more for the first thread and the clock. If it fails, allocation is only slower.
        libc::mallopt(libc::M_ARENA_MAX, i32::try_from(threads.get() + 2).unwrap_or(i32::MAX));
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = threads;
}
