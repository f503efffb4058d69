//! Registers standard input with the event loop.

use std::os::fd::BorrowedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Standard input, if epoll can watch it: not a regular file, nor /dev/null.
pub fn stdin() -> Option<AsyncFd<BorrowedFd<'static>>> {
    // SAFETY: nothing in a guest's process closes or replaces descriptor 0.
    unsafe { AsyncFd::register_with_interest(rustix::stdio::stdin(), Interest::READABLE) }.ok()
}
