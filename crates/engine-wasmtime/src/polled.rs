//! Descriptors that are not sockets as the event loop sees them.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Standard input, when it is a thing that epoll can watch: not a regular file, nor /dev/null.
pub fn stdin() -> Option<AsyncFd<BorrowedFd<'static>>> {
    // SAFETY: nothing in a guest's process closes or replaces descriptor 0.
    unsafe { AsyncFd::register_with_interest(rustix::stdio::stdin(), Interest::READABLE) }.ok()
}

/// Has the event loop that this is called in watch `descriptor` for something to read.
///
/// # Errors
/// When epoll cannot watch it.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what watches it, and nobody else knows its number.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(io::Error::from)
}
