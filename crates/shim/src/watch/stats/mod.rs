//! Stats: what a container has used, in the message and the units that containerd knows the host's
//! version of cgroups by.

mod text;
mod v1;
mod v2;

use std::sync::Arc;

use containerd_shim_protos::api::StatsResponse;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageDyn, MessageField};

use crate::apart::apart;
use crate::task::Task;

/// The metrics of a task: those of this moment, or the last there were of a cgroup that is gone; `None` where there were
/// none.
///
/// # Errors
/// When they cannot be written down.
pub async fn of(task: Arc<Task>) -> anyhow::Result<Option<StatsResponse>> {
    apart(move || match stats(&task) {
        Ok(Some(stats)) => {
            task.keep_stats(|_| Some(stats.clone()));
            Ok(Some(stats))
        }
        missed => task.last_stats().map_or(missed, |last| Ok(Some(last))),
    })
    .await
}

/// Notes what a task has used by now, where that may be gone when containerd asks.
pub async fn keep(task: &Arc<Task>) {
    if task.loses_stats() {
        let kept = Arc::clone(task);
        let keep = apart(move || {
            kept.keep_stats(now);
            Ok(())
        });
        if let Err(error) = keep.await {
            log::error!("container {}: {error:#}", task.workload().id);
        }
    }
}

/// The metrics of a task whose cgroup is there. It may wait in the kernel.
pub fn now(task: &Task) -> Option<StatsResponse> {
    stats(task).ok().flatten()
}

/// The metrics of a task whose cgroup is there. What a kernel does not count is 0; of guests that ended for want of
/// memory it knows nothing.
fn stats(task: &Task) -> anyhow::Result<Option<StatsResponse>> {
    let (cgroup, wanted) = (&task.cgroup, task.oom.wanted());
    let metrics: Box<dyn MessageDyn> = if cgroup.unified().is_some() {
        Box::new(v2::metrics(cgroup, wanted))
    } else {
        Box::new(v1::metrics(cgroup, wanted))
    };
    // Asked last: what was read of a cgroup that is there now was read of one that was there.
    if !cgroup.exists() {
        return Ok(None);
    }
    let value = metrics.write_to_bytes_dyn()?;
    let type_url = metrics.descriptor_dyn().full_name().to_owned();
    let stats = MessageField::some(Any { type_url, value, ..Any::default() });
    Ok(Some(StatsResponse { stats, ..StatsResponse::default() }))
}
