//! How a process that is being born comes into a container's cgroup.
//!
//! One that somebody else moves waits in the kernel until no fork can be under way, an RCU grace period: 6 to 20
//! ms. One that is born there (v2) does not, nor one that has a single thread and moves itself (v1).

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::folders::Folders;

/// What it needs for that.
#[derive(Debug)]
pub struct Entry {
    /// How it goes.
    pub way: Way,
    /// What is handed to it.
    pub fds: Vec<OwnedFd>,
}

/// How it comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// It is born in the folder that is handed over.
    Birth,
    /// It moves itself, by as many files.
    Doors(usize),
    /// It is moved from outside, when it is there.
    Outside,
}

impl Way {
    /// How many descriptors are handed over.
    pub fn descriptors(self) -> usize {
        match self {
            Self::Birth => 1,
            Self::Doors(doors) => doors,
            Self::Outside => 0,
        }
    }
}

impl Entry {
    /// Nothing is handed over.
    pub(crate) const OUTSIDE: Self = Self { way: Way::Outside, fds: Vec::new() };
}

impl Folders {
    /// The way into a new cgroup for its first process.
    ///
    /// # Errors
    /// Names the file that cannot be opened.
    pub(crate) fn first_entry(&self) -> anyhow::Result<Entry> {
        let Some(folder) = self.unified() else { return self.entry() };
        let folder = File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
        Ok(Entry { way: Way::Birth, fds: vec![folder.into()] })
    }

    /// The way into a cgroup in which others are. On v2 nobody may be born there if the container has made
    /// cgroups of its own in it.
    ///
    /// # Errors
    /// Names the file that cannot be opened.
    pub fn entry(&self) -> anyhow::Result<Entry> {
        if self.unified().is_some() {
            return Ok(Entry::OUTSIDE);
        }
        let open = |folder: &std::path::Path| {
            let door = folder.join("tasks");
            let opened = File::options().write(true).open(&door);
            Ok(opened.with_context(|| format!("cannot open {}", door.display()))?.into())
        };
        let doors = self.all().filter(|folder| folder.exists()).map(open);
        let fds = doors.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Entry { way: Way::Doors(fds.len()), fds })
    }
}

/// Moves the caller, which must have one thread.
///
/// # Errors
/// What the kernel says.
pub fn go_through(doors: impl IntoIterator<Item = OwnedFd>) -> anyhow::Result<()> {
    for door in doors {
        File::from(door).write_all(b"0").context("cannot enter the container's cgroup")?;
    }
    Ok(())
}
