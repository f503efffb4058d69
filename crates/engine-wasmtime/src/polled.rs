//! Descriptors that are not sockets as the event loop sees them.

use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Standard input, when it is a thing that epoll can watch: not a regular file, nor /dev/null.
pub fn stdin() -> Option<AsyncFd<BorrowedFd<'static>>> {
    // SAFETY: nothing in a guest's process closes or replaces descriptor 0.
    unsafe { AsyncFd::register_with_interest(rustix::stdio::stdin(), Interest::READABLE) }.ok()
}

/// Waits until `descriptor`, which epoll can watch, has something to read.
pub async fn readable(descriptor: OwnedFd) {
    // SAFETY: the descriptor is owned by what watches it, and nobody else knows its number.
    if let Ok(watched) = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) } {
        // What cannot be watched is as good as readable: nobody must wait for ever.
        let _ = watched.readable().await;
    }
}
