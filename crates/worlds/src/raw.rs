//! Options of the level SOL_SOCKET as bytes, as getsockopt(2) and setsockopt(2) take them. Nothing else.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::{Errno, Result};

/// Reads an option into `value`, cut off where `value` ends; how many bytes there are of it.
///
/// # Errors
/// What the kernel says.
pub(crate) fn get(socket: BorrowedFd<'_>, name: c_int, value: &mut [u8]) -> Result<usize> {
    let mut length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    let into = value.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `length` bytes, all of them `value`'s, which lives until the call returns.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, into, &raw mut length) } {
        0 => Ok(value.len().min(length as usize)),
        _ => Err(last()),
    }
}

/// Sets an option.
///
/// # Errors
/// What the kernel says.
pub(crate) fn set(socket: BorrowedFd<'_>, name: c_int, value: &[u8]) -> Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    let from = value.as_ptr().cast();
    // SAFETY: the kernel reads at most `length` bytes, all of them `value`'s. None of the names that are used
    // here makes it keep the address, or read an address out of the bytes.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, from, length) } {
        0 => Ok(()),
        _ => Err(last()),
    }
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
