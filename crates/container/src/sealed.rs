//! Opens a program of the host so that no process that runs it leads to a writable file.
//!
//! A process that may inspect another one finds its program at `/proc/PID/exe`, from inside a container as well. It
//! could keep that file open until no process runs it any more, and then write to it. So the program is executed from
//! a detached, read-only mount that holds this file alone: opened by way of it, the file is on a read-only file
//! system for good, and its pages are still shared by all processes that run it.

use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Context;
use libcontainer::syscall::linux::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

use crate::trees::{self, Depth};

/// The program at `path`. Execute it by its number in `/proc/self/fd`, then close it.
///
/// # Errors
/// When there is no such file, or the kernel makes no such mount.
pub fn open(path: &Path) -> anyhow::Result<OwnedFd> {
    let file = trees::copy(path, Depth::Top).context("it cannot be opened")?;
    trees::add(&file, Depth::Top, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
        .context("the kernel makes no read-only mount of it; Linux 5.12 does")?;
    Ok(file)
}
