//! How a new process enters a container's cgroup.
//!
//! A process that another one moves waits in the kernel for an RCU grace period, until no fork can be in progress: 6
//! to 20 ms. One that is cloned into the cgroup (v2) does not wait, nor does one with a single thread that moves
//! itself (v1).

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::dirs::CgroupDirs;

/// What a new process needs to enter a cgroup.
#[derive(Debug)]
pub struct Entry {
    /// How it enters.
    pub mode: EntryMode,
    /// The descriptors it is handed.
    pub fds: Vec<OwnedFd>,
}

/// How a process enters a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryMode {
    /// It is cloned into the cgroup, by an open directory.
    CloneInto,
    /// It moves itself, by writing to this many open files.
    SelfMove(usize),
    /// Another process moves it, once it exists.
    FromOutside,
}

impl EntryMode {
    /// How many descriptors it is handed.
    pub fn descriptors(self) -> usize {
        match self {
            Self::CloneInto => 1,
            Self::SelfMove(files) => files,
            Self::FromOutside => 0,
        }
    }
}

impl Entry {
    /// Without descriptors.
    pub(crate) const OUTSIDE: Self = Self { mode: EntryMode::FromOutside, fds: Vec::new() };
}

impl CgroupDirs {
    /// The entry for the first process of a new cgroup.
    ///
    /// # Errors
    /// Names the file that cannot be opened.
    pub(crate) fn first_entry(&self) -> anyhow::Result<Entry> {
        let Some(dir) = self.unified() else { return self.entry() };
        let dir = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
        Ok(Entry { mode: EntryMode::CloneInto, fds: vec![dir.into()] })
    }

    /// The entry for one more process. On v2 no process can be cloned into it if the container has created cgroups of
    /// its own there.
    ///
    /// # Errors
    /// Names the file that cannot be opened.
    pub fn entry(&self) -> anyhow::Result<Entry> {
        if self.unified().is_some() {
            return Ok(Entry::OUTSIDE);
        }
        let open = |dir: &std::path::Path| {
            let path = dir.join("tasks");
            let opened = File::options().write(true).open(&path);
            Ok(opened.with_context(|| format!("cannot open {}", path.display()))?.into())
        };
        let files = self.all().filter(|dir| dir.exists()).map(open);
        let fds = files.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Entry { mode: EntryMode::SelfMove(fds.len()), fds })
    }
}

/// Moves the caller, which must have one thread, by the files of [`EntryMode::SelfMove`].
///
/// # Errors
/// The kernel's error.
pub fn move_self(files: impl IntoIterator<Item = OwnedFd>) -> anyhow::Result<()> {
    for file in files {
        File::from(file).write_all(b"0").context("cannot enter the container's cgroup")?;
    }
    Ok(())
}
