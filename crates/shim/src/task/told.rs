//! What containerd was told of a container whose memory ran out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use container::cgroup::OomNotice;
use tokio::io::unix::AsyncFd;

/// What containerd was told of so far.
#[derive(Default)]
pub struct Told {
    /// Held from a look until it is told what that has found: whoever looks next finds it told.
    pub telling: Mutex<()>,
    /// How many processes the kernel has killed.
    pub kills: AtomicU64,
    /// Guests that ended for want of memory before the kernel had to kill.
    pub wanted: AtomicU64,
    /// How the kernel gives notice, from the container's start on.
    pub notice: OnceLock<AsyncFd<OomNotice>>,
    /// Notice was given that has not led to anything told yet.
    pub pending: AtomicBool,
}

impl Told {
    /// How many guests ended because the container's limit refused them memory.
    pub fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Takes what notice there is.
    pub fn take(&self) -> bool {
        if self.notice.get().is_some_and(|notice| notice.get_ref().take()) {
            self.pending.store(true, Ordering::Relaxed);
        }
        self.pending.load(Ordering::Relaxed)
    }
}
