//! TaskOOM: publishes one event each time that a container runs out of memory, before the exit that it causes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use container::cgroup::OomNotice;
use containerd_shim_protos::events::task::TaskOOM;

use super::stats;
use crate::awaited::readable;
use crate::blocking::blocking;
use crate::events::Events;
use crate::lock::lock;
use crate::task::{Kind, Task};

/// The delays before each check of the kill count: cgroup v1 notifies before the kernel selects a process.
const LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(100), Duration::from_secs(1)];

/// Watches until the container ends.
pub async fn watch(events: Events, task: Arc<Task>) {
    let cgroup = task.cgroup.clone();
    let watched = blocking(move || OomNotice::of(&cgroup)).await;
    let notice = match watched.and_then(|notice| Ok(notice.map(readable).transpose()?)) {
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
            let (events, looked) = (events.clone(), Arc::clone(&task));
            if blocking(move || Ok(report_kills(&events, &looked))).await.unwrap_or(false) {
                break;
            }
        }
        let cgroup = task.cgroup.clone();
        if blocking(move || Ok(cgroup.exists())).await.unwrap_or(false) {
            // No process was killed: memory was reclaimed at the limit.
            task.oom.pending.store(false, Ordering::Relaxed);
        }
    }
}

/// Publishes TaskOOM if the kernel has killed more processes than were reported, and returns whether it did. This and
/// the functions below may block.
fn report_kills(events: &Events, task: &Task) -> bool {
    let _reporting = lock(&task.oom.reporting);
    let kills = task.cgroup.oom_kills();
    let more = kills > task.oom.kills.fetch_max(kills, Ordering::Relaxed);
    if more {
        publish(events, task);
    }
    more
}

/// Publishes TaskOOM at a container's exit with `status`, also if its cgroup is gone: systemd may have removed it
/// between the kernel's notification and this check.
pub fn report_at_exit(events: &Events, task: &Task, status: u32) {
    const KILLED: u32 = 128 + libc::SIGKILL.cast_unsigned();
    let noticed = task.oom.take();
    let unreported = task.oom.kills.load(Ordering::Relaxed) == 0;
    if !report_kills(events, task) && noticed && unreported && status == KILLED && !task.cgroup.exists() {
        publish(events, task);
    }
}

/// Publishes TaskOOM if a guest ended because the container's limit refused it memory.
pub fn report_guest_oom(events: &Events, task: &Task) {
    if let Kind::Wasm { memory, .. } = &task.kind
        && memory.take_oom()
    {
        task.oom.guest_ooms.fetch_add(1, Ordering::Relaxed);
        publish(events, task);
    }
}

fn publish(events: &Events, task: &Task) {
    task.oom.pending.store(false, Ordering::Relaxed);
    task.keep_stats(stats::now);
    events.publish(&TaskOOM { container_id: task.workload().id.clone(), ..TaskOOM::default() });
}
