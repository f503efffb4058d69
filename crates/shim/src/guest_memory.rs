//! The memory of a container's guests: how much they may have, and whether one of them ended for want of more.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::Context;
use container::channel;
use engine::Bound;
use rustix::event::{EventfdFlags, eventfd};

use crate::payload::{BoundFd, WantedFd};

/// What the daemon keeps of it.
pub struct GuestMemory {
    bound: File,
    /// Where a guest says that it ended for want of memory.
    wanted: OwnedFd,
}

impl GuestMemory {
    /// For guests of a container that may have `limit` bytes; `None` is unbounded.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn new(limit: Option<u64>) -> anyhow::Result<Self> {
        let wanted = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wanted = wanted.context("cannot make an event for a guest's end")?;
        let memory = Self { bound: channel::memory_file("bound")?, wanted };
        memory.limit(limit)?;
        Ok(memory)
    }

    /// Sets another limit, which holds from the next growth on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn limit(&self, limit: Option<u64>) -> anyhow::Result<()> {
        Bound::write(&self.bound, limit.map(linear_memory))
            .context("cannot set the bound on the guest's memory")
    }

    /// The bound as a guest's process may have it, which reads it and no more.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn bound(&self) -> anyhow::Result<BoundFd<File>> {
        let opened = File::open(format!("/proc/self/fd/{}", self.bound.as_raw_fd()));
        opened.map(BoundFd).context("cannot open the memory's bound again")
    }

    /// Where a guest's process says it with [`say_wanted`].
    pub fn wanted(&self) -> WantedFd<BorrowedFd<'_>> {
        WantedFd(self.wanted.as_fd())
    }

    /// Whether a guest ended for want of memory since this was last asked.
    pub fn was_wanted(&self) -> bool {
        rustix::io::read(&self.wanted, &mut [0; 8]).is_ok()
    }
}

/// Says that this guest ends for want of memory.
pub fn say_wanted(wanted: &WantedFd<OwnedFd>) {
    // Nobody is left to tell if it fails: the exit status still says that it trapped.
    let _ = rustix::io::write(&wanted.0, &1_u64.to_ne_bytes());
}

/// What a container's memory limit, in bytes, leaves a guest's linear memories: less what the process
/// around them takes, so that a growth fails before the kernel must kill.
fn linear_memory(limit: u64) -> u64 {
    // Measured: 0.2 MB are charged to a guest at its gate, 0.5 MB at most before; the rest is for page tables.
    const AROUND: u64 = 2 << 20;
    limit.saturating_sub(AROUND.min(limit / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_is_told_once() {
        let memory = GuestMemory::new(Some(64 << 20)).unwrap();
        assert_eq!(Bound::in_file(memory.bound().unwrap().0).max(), 62 << 20);
        assert!(!memory.was_wanted());
        say_wanted(&WantedFd(memory.wanted().0.try_clone_to_owned().unwrap()));
        assert!(memory.was_wanted() && !memory.was_wanted());
        memory.limit(None).unwrap();
        assert_eq!(Bound::in_file(memory.bound().unwrap().0).max(), u64::MAX);
    }
}
