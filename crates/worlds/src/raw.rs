//! getsockopt(2) and setsockopt(2) for options of the level SOL_SOCKET, with their values as bytes.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::{Errno, Result};

/// Reads an option into `value`, truncated to its length. Returns how many bytes were written.
///
/// # Errors
/// Those of getsockopt(2).
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
/// Those of setsockopt(2).
pub(crate) fn set(socket: BorrowedFd<'_>, name: c_int, value: &[u8]) -> Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    let from = value.as_ptr().cast();
    // SAFETY: the kernel reads at most `length` bytes, all of them `value`'s. With none of the options used here does
    // it keep the address, or take the bytes for an address.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, from, length) } {
        0 => Ok(()),
        _ => Err(last()),
    }
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
