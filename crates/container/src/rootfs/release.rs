//! Unmounts the root file system when its container is gone.

use std::path::Path;

use anyhow::Context;
use rustix::mount::{UnmountFlags, unmount};

/// Detaches everything that is mounted at `target`, if anything.
///
/// # Errors
/// Names the directory that cannot be unmounted.
pub fn unmount_all(target: &Path) -> anyhow::Result<()> {
    loop {
        match unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot unmount {}", target.display())),
        }
    }
}
