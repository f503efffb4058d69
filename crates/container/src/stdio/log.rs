//! Copies one output into a file: the process has the pipe, and only the daemon has the file.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};

/// A log file and the pipe that feeds it.
#[derive(Debug)]
pub struct Log {
    pipe: OwnedFd,
    file: File,
    /// Whether the last write failed.
    fails: bool,
}

/// What is left in the pipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Left {
    /// More than one turn takes.
    More,
    /// Nothing for now.
    Nothing,
    /// EOF: no writer is left.
    End,
}

impl Log {
    /// Opens the file as runc's shim does, to append what `pipe` delivers.
    ///
    /// # Errors
    /// The kernel's error.
    pub(super) fn create(path: &Path, pipe: OwnedFd) -> io::Result<Self> {
        const DIR_MODE: u32 = 0o755;
        const LOG_MODE: u32 = 0o644;
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
        }
        let file = File::options().create(true).append(true).mode(LOG_MODE).open(path)?;
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Self { pipe, file, fails: false })
    }

    /// Appends the pipe's contents to the file; may block on the disk. Output that cannot be written is dropped and
    /// the pipe is still drained: the container must not end because of its log.
    ///
    /// # Errors
    /// The first error of a series of failed writes.
    pub fn carry(&mut self) -> (Left, io::Result<()>) {
        const PIECE: usize = 16 << 10;
        /// The largest pipe that a container can set (`pipe-max-size`).
        const TURN: usize = 1 << 20;
        let (mut piece, mut lost) = ([0; PIECE], Ok(()));
        for _ in 0..TURN / PIECE {
            match rustix::io::retry_on_intr(|| rustix::io::read(&self.pipe, &mut piece)) {
                Ok(0) => return (Left::End, lost),
                Ok(length) => {
                    let written = self.file.write_all(&piece[..length]);
                    let failed_before = std::mem::replace(&mut self.fails, written.is_err());
                    if !failed_before {
                        lost = lost.and(written);
                    }
                }
                Err(_) => return (Left::Nothing, lost),
            }
        }
        (Left::More, lost)
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
