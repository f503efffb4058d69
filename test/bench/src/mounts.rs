//! A node with many mounts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};

/// Enters a new mount namespace, whose mounts do not propagate to the host.
///
/// # Errors
/// The kernel's error.
pub fn apart() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("cannot part from the host's mounts")
}

/// Mounts that are removed when this is dropped.
#[derive(Debug)]
pub struct Many(PathBuf);

impl Many {
    /// Adds mounts below `dir` until there are `max` in all.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn below(dir: PathBuf, max: usize) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let there = count()?;
        mount("tmpfs", &dir, "tmpfs", MountFlags::empty(), None)?;
        let many = Self(dir);
        for number in there..max {
            many.add(number)?;
        }
        Ok(many)
    }

    fn add(&self, number: usize) -> Result<()> {
        let place = self.0.join(number.to_string());
        fs::create_dir(&place)?;
        mount_bind(&self.0, &place).with_context(|| format!("cannot mount {}", place.display()))
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", self.0.display());
        }
    }
}

/// The number of mounts.
///
/// # Errors
/// When the table cannot be read.
pub fn count() -> Result<usize> {
    Ok(fs::read_to_string(Path::new("/proc/self/mountinfo"))?.lines().count())
}
