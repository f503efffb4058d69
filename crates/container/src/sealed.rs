//! A program of the host's, opened so that nobody can write to it by way of the processes that run it.
//!
//! Whoever may look into a process finds its program behind `/proc/PID/exe`, from inside a container as well, and
//! could keep that open until nobody runs it any more, and then write to it. So it is executed from a mount that
//! is read-only, holds this file alone and is attached nowhere: whoever comes to the file by way of it finds a
//! read-only file system, for ever, and the file's pages are still those that all its processes share.

use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Context;
use libcontainer::syscall::linux::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

use crate::trees::{self, Depth};

/// The program at `path`, to be executed by its number in `/proc/self/fd`, and closed when that is done.
///
/// # Errors
/// When there is no such file, or the kernel makes no such mount.
pub fn open(path: &Path) -> anyhow::Result<OwnedFd> {
    let file = trees::copy(path, Depth::Top).context("it cannot be opened")?;
    trees::add(&file, Depth::Top, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
        .context("the kernel makes no read-only mount of it; Linux 5.12 does")?;
    Ok(file)
}
