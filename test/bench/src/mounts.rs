//! A node with many mounts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};

/// Goes into a mount namespace of the caller's own, in which nothing that it mounts is the host's.
///
/// # Errors
/// What the kernel says.
pub fn apart() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("cannot part from the host's mounts")
}

/// Mounts that go when this does.
#[derive(Debug)]
pub struct Many(PathBuf);

impl Many {
    /// Adds mounts below `folder` until there are `most` in all.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn below(folder: PathBuf, most: usize) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let there = count()?;
        mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), None)?;
        let many = Self(folder);
        for number in there..most {
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

/// How many there are.
///
/// # Errors
/// When the table cannot be read.
pub fn count() -> Result<usize> {
    Ok(fs::read_to_string(Path::new("/proc/self/mountinfo"))?.lines().count())
}
