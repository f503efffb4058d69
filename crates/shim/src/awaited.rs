//! Registers file descriptors with tokio's reactor.

#![expect(unsafe_code, reason = "tokio asks its caller to keep a registered descriptor open")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `inner` for readability.
///
/// # Errors
/// When the descriptor cannot be polled.
pub fn readable<T: AsFd + AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    awaited(inner, Interest::READABLE)
}

/// Registers `inner` for `interest`.
///
/// # Errors
/// When the descriptor cannot be polled: regular files cannot.
pub fn awaited<T: AsFd + AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: a type with AsFd owns or borrows one open descriptor for as long as it lives, and the
    // AsyncFd keeps it until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(inner, interest) }?)
}
