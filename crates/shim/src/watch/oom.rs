//! TaskOOM: containerd is told once for each time that a container's memory ran out, and before it is
//! told of the end that came of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use container::cgroup::OomNotice;
use containerd_shim_protos::events::task::TaskOOM;

use super::stats;
use crate::apart::apart;
use crate::awaited::readable;
use crate::events::Events;
use crate::lock::lock;
use crate::task::{Kind, Task};

/// When to look whom the kernel killed: cgroup v1 gives notice before it chooses.
const LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(100), Duration::from_secs(1)];

/// Watches until the container ends.
pub async fn watch(events: Events, task: Arc<Task>) {
    let cgroup = task.cgroup.clone();
    let watched = apart(move || OomNotice::of(&cgroup)).await;
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
            if apart(move || Ok(tell(&events, &looked))).await.unwrap_or(false) {
                break;
            }
        }
        let cgroup = task.cgroup.clone();
        if apart(move || Ok(cgroup.exists())).await.unwrap_or(false) {
            // Nobody was killed: the limit was met, and memory found.
            task.oom.pending.store(false, Ordering::Relaxed);
        }
    }
}

/// Tells containerd when more processes were killed than it knows of. Whether it did. Like all that follows it may wait
/// in the kernel.
fn tell(events: &Events, task: &Task) -> bool {
    let _telling = lock(&task.oom.telling);
    let kills = task.cgroup.oom_kills();
    let more = kills > task.oom.kills.fetch_max(kills, Ordering::Relaxed);
    if more {
        publish(events, task);
    }
    more
}

/// Tells containerd, at the end of a container that was killed, what its cgroup can say no more: systemd may
/// have removed it between the kernel's notice and this look.
pub fn tell_last(events: &Events, task: &Task, status: u32) {
    const KILLED: u32 = 128 + libc::SIGKILL.cast_unsigned();
    let noticed = task.oom.take();
    let untold = task.oom.kills.load(Ordering::Relaxed) == 0;
    if !tell(events, task) && noticed && untold && status == KILLED && !task.cgroup.exists() {
        publish(events, task);
    }
}

/// Tells containerd when a guest ended because the container's limit refused it memory.
pub fn tell_wanted(events: &Events, task: &Task) {
    if let Kind::Wasm { memory, .. } = &task.kind
        && memory.was_wanted()
    {
        task.oom.wanted.fetch_add(1, Ordering::Relaxed);
        publish(events, task);
    }
}

fn publish(events: &Events, task: &Task) {
    task.oom.pending.store(false, Ordering::Relaxed);
    task.keep_stats(stats::now);
    events.publish(&TaskOOM { container_id: task.workload().id.clone(), ..TaskOOM::default() });
}
