//! The out-of-memory events of a container, and which of them were reported to containerd.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use container::cgroup::OomNotice;
use tokio::io::unix::AsyncFd;

/// The events so far.
#[derive(Default)]
pub struct OomEvents {
    /// Held from a check of the cgroup until its result is published, so that no kill is reported twice.
    pub reporting: Mutex<()>,
    /// How many kills by the kernel were reported.
    pub kills: AtomicU64,
    /// How many guests ended because they ran out of memory before the kernel had to kill.
    pub guest_ooms: AtomicU64,
    /// The kernel's notifications, set from the container's start on.
    pub notice: OnceLock<AsyncFd<OomNotice>>,
    /// Whether a notification has not led to a report yet.
    pub pending: AtomicBool,
}

impl OomEvents {
    /// How many guests ended because the container's limit refused them memory.
    pub fn guest_ooms(&self) -> u64 {
        self.guest_ooms.load(Ordering::Relaxed)
    }

    /// Reads the pending notifications. Returns whether any was not reported yet.
    pub fn take(&self) -> bool {
        if self.notice.get().is_some_and(|notice| notice.get_ref().take()) {
            self.pending.store(true, Ordering::Relaxed);
        }
        self.pending.load(Ordering::Relaxed)
    }
}
