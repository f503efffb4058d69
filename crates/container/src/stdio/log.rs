//! One output on its way into a file: the pipe that the process writes to, and the file, which only the daemon has.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};

/// A log and the pipe that leads to it.
#[derive(Debug)]
pub struct Log {
    pipe: OwnedFd,
    file: File,
    /// Whether the file took nothing the last time.
    fails: bool,
}

/// What is left in the pipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Left {
    /// More than one turn takes.
    More,
    /// Nothing for now.
    Nothing,
    /// Nothing, and nobody can write to it any more.
    End,
}

impl Log {
    /// Opens the file as runc's shim does, to append what `pipe` brings.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn create(path: &Path, pipe: OwnedFd) -> io::Result<Self> {
        const FOLDER: u32 = 0o755;
        const LOG: u32 = 0o644;
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(FOLDER).create(folder)?;
        }
        let file = File::options().create(true).append(true).mode(LOG).open(path)?;
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Self { pipe, file, fails: false })
    }

    /// Appends to the file what the pipe holds, and may wait for the disk. What the file does not take is lost: the
    /// pipe is read on, for the container need not end for its log's sake.
    ///
    /// # Errors
    /// What the disk said, when it begins to take nothing.
    pub fn carry(&mut self) -> (Left, io::Result<()>) {
        const PIECE: usize = 16 << 10;
        /// As much as a container may let its pipe hold (`pipe-max-size`).
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
