//! The memory limit of a container's guests, and the event by which they report that they ran out of memory.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::Context;
use container::channel;
use engine::Bound;
use rustix::event::{EventfdFlags, eventfd};

use crate::payload::{BoundFd, OomFd};

/// The daemon's side of both.
pub struct GuestMemory {
    bound: File,
    /// An eventfd that a guest signals when it ended because it ran out of memory.
    oom_event: OwnedFd,
}

impl GuestMemory {
    /// For the guests of a container with a memory limit of `limit` bytes; `None` is unlimited.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn new(limit: Option<u64>) -> anyhow::Result<Self> {
        let oom_event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let oom_event = oom_event.context("cannot make an event for a guest's end")?;
        let memory = Self { bound: channel::memory_file("bound")?, oom_event };
        memory.limit(limit)?;
        Ok(memory)
    }

    /// Changes the limit; guests apply it when their memory grows next.
    ///
    /// # Errors
    /// The kernel's.
    pub fn limit(&self, limit: Option<u64>) -> anyhow::Result<()> {
        Bound::write(&self.bound, limit.map(linear_memory))
            .context("cannot set the bound on the guest's memory")
    }

    /// The bound, opened read-only for a guest's process.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn bound(&self) -> anyhow::Result<BoundFd<File>> {
        let opened = File::open(format!("/proc/self/fd/{}", self.bound.as_raw_fd()));
        opened.map(BoundFd).context("cannot open the memory's bound again")
    }

    /// The event for a guest's process, see [`report_oom`].
    pub fn oom_event(&self) -> OomFd<BorrowedFd<'_>> {
        OomFd(self.oom_event.as_fd())
    }

    /// Whether a guest has run out of memory since the last call.
    pub fn take_oom(&self) -> bool {
        rustix::io::read(&self.oom_event, &mut [0; 8]).is_ok()
    }
}

/// Reports, from a guest's process, that the guest ran out of memory.
pub fn report_oom(event: &OomFd<OwnedFd>) {
    // A failure cannot be reported any more; the exit status still shows the trap.
    let _ = rustix::io::write(&event.0, &1_u64.to_ne_bytes());
}

/// The bytes that a container's memory limit leaves for a guest's linear memories: it subtracts what the process around
/// them uses, so that a growth fails before the kernel must kill the process.
fn linear_memory(limit: u64) -> u64 {
    // Measured: 0.2 MB are charged to a guest at its gate, 0.5 MB at most before; the rest is for page tables.
    const AROUND: u64 = 2 << 20;
    limit.saturating_sub(AROUND.min(limit / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_memory_is_reported_once() {
        let memory = GuestMemory::new(Some(64 << 20)).unwrap();
        assert_eq!(Bound::in_file(memory.bound().unwrap().0).max(), 62 << 20);
        assert!(!memory.take_oom());
        report_oom(&OomFd(memory.oom_event().0.try_clone_to_owned().unwrap()));
        assert!(memory.take_oom() && !memory.take_oom());
        memory.limit(None).unwrap();
        assert_eq!(Bound::in_file(memory.bound().unwrap().0).max(), u64::MAX);
    }
}
