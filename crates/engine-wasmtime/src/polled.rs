//! Descriptors that are not sockets as the event loop sees them.

use std::os::fd::BorrowedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Standard input, when it is a thing that epoll can watch: not a regular file, nor /dev/null.
pub fn stdin() -> Option<AsyncFd<BorrowedFd<'static>>> {
    // SAFETY: nothing in a guest's process closes or replaces descriptor 0.
    unsafe { AsyncFd::register_with_interest(rustix::stdio::stdin(), Interest::READABLE) }.ok()
}
