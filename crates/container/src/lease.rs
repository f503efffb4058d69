//! Detects whether any process can still write to a file, by a lease: only the kernel knows every descriptor.

#![expect(unsafe_code, reason = "a lease on a file has no safe wrapper")]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::Duration;

/// Waits until no process has the file open or mapped for writing, and no message in flight carries such a
/// descriptor. `file` must be open read-only, and the caller its owner. Afterwards only a process that may open the
/// file can write to it.
///
/// # Errors
/// `WouldBlock` when a writer remains for a second; `InvalidInput` where the file system supports no leases.
pub fn wait_for_writers(file: &File) -> io::Result<()> {
    const TRIES: usize = 1000;
    // A process that passed the descriptor on may need a moment to close its own.
    let busy = |done: &io::Result<()>| {
        let busy = matches!(done, Err(error) if error.kind() == ErrorKind::WouldBlock);
        busy.then(|| sleep(Duration::from_millis(1))).is_some()
    };
    (1..TRIES)
        .map(|_| lease(file, libc::F_RDLCK))
        .find(|done| !busy(done))
        .unwrap_or_else(|| lease(file, libc::F_RDLCK))?;
    lease(file, libc::F_UNLCK)
}

/// A read lease is granted only while the file is not open for writing anywhere.
fn lease(file: &File, kind: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the argument is a number, as the command
    // wants it.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_can_still_be_written_to_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert_eq!(wait_for_writers(&reader).unwrap_err().kind(), ErrorKind::WouldBlock);
        let copy = writer.try_clone().unwrap();
        drop(writer);
        assert_eq!(lease(&reader, libc::F_RDLCK).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(copy);
        wait_for_writers(&reader).unwrap();
        // The lease is released: opening the file for writing does not block.
        drop(File::options().write(true).open(&path).unwrap());
    }
}
