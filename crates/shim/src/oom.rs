//! TaskOOM: containerd is told once for each time that a container's memory ran out, and before it is
//! told of the end that came of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use container::cgroup::OomNotice;
use containerd_shim_protos::events::task::TaskOOM;
use tokio::io::unix::AsyncFd;

use crate::awaited::readable;
use crate::daemon::Daemon;
use crate::rpc::stats;
use crate::task::{Kind, Task};

/// When to look whom the kernel killed: cgroup v1 gives notice before it chooses.
const LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(100), Duration::from_secs(1)];

/// What containerd was told of so far.
#[derive(Default)]
pub struct Told {
    kills: AtomicU64,
    /// Guests that ended for want of memory before the kernel had to kill.
    wanted: AtomicU64,
    /// How the kernel gives notice, from the container's start on.
    notice: OnceLock<AsyncFd<OomNotice>>,
    /// Notice was given that has not led to anything told yet.
    pending: AtomicBool,
}

impl Told {
    /// How many guests ended because the container's limit refused them memory.
    pub fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Takes what notice there is.
    fn take(&self) -> bool {
        if self.notice.get().is_some_and(|notice| notice.get_ref().take()) {
            self.pending.store(true, Ordering::Relaxed);
        }
        self.pending.load(Ordering::Relaxed)
    }
}

/// Watches until the container ends.
pub async fn watch(daemon: Arc<Daemon>, task: Arc<Task>) {
    let watched = OomNotice::of(&task.cgroup).and_then(|notice| Ok(notice.map(readable).transpose()?));
    let notice = match watched {
        Ok(Some(notice)) => task.oom.notice.get_or_init(|| notice),
        Ok(None) => return,
        Err(error) => return log::warn!("container {}: {error:#}", task.workload().id),
    };
    loop {
        tokio::select! {
            _ = task.first.wait() => return,
            ready = notice.readable() => {
                let Ok(mut ready) = ready else { return };
                ready.clear_ready();
                if !task.oom.take() {
                    continue;
                }
            }
        }
        for pause in LOOKS {
            tokio::time::sleep(pause).await;
            if tell(&daemon, &task) {
                break;
            }
        }
        if task.cgroup.exists() {
            // Nobody was killed: the limit was met, and memory found.
            task.oom.pending.store(false, Ordering::Relaxed);
        }
    }
}

/// Tells containerd when more processes were killed than it knows of. Whether it did.
pub fn tell(daemon: &Daemon, task: &Task) -> bool {
    let kills = task.cgroup.oom_kills();
    let more = kills > task.oom.kills.fetch_max(kills, Ordering::Relaxed);
    if more {
        publish(daemon, task);
    }
    more
}

/// Tells containerd, at the end of a container that was killed, what its cgroup can say no more: systemd may
/// have removed it between the kernel's notice and this look.
pub fn tell_last(daemon: &Daemon, task: &Task, status: u32) {
    const KILLED: u32 = 128 + libc::SIGKILL.cast_unsigned();
    let noticed = task.oom.take();
    let untold = task.oom.kills.load(Ordering::Relaxed) == 0;
    if !tell(daemon, task) && noticed && untold && status == KILLED && !task.cgroup.exists() {
        publish(daemon, task);
    }
}

/// Tells containerd when a guest ended because the container's limit refused it memory.
pub fn tell_wanted(daemon: &Daemon, task: &Task) {
    if let Kind::Wasm { memory, .. } = &task.kind
        && memory.was_wanted()
    {
        task.oom.wanted.fetch_add(1, Ordering::Relaxed);
        publish(daemon, task);
    }
}

fn publish(daemon: &Daemon, task: &Task) {
    task.oom.pending.store(false, Ordering::Relaxed);
    task.keep_stats(stats::now);
    daemon.events.publish(&TaskOOM { container_id: task.workload().id.clone(), ..TaskOOM::default() });
}
