//! Stats: a container's resource usage, in containerd's message and units for the host's cgroup version.

mod text;
mod v1;
mod v2;

use std::sync::Arc;

use containerd_shim_protos::api::StatsResponse;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageDyn, MessageField};

use crate::blocking::blocking;
use crate::task::Task;

/// The current metrics of a task, or the last ones stored if its cgroup is gone; `None` without any.
///
/// # Errors
/// When they cannot be encoded.
pub async fn of(task: Arc<Task>) -> anyhow::Result<Option<StatsResponse>> {
    blocking(move || match stats(&task) {
        Ok(Some(stats)) => {
            task.keep_stats(|_| Some(stats.clone()));
            Ok(Some(stats))
        }
        missed => task.last_stats().map_or(missed, |last| Ok(Some(last))),
    })
    .await
}

/// Stores the current metrics, if the cgroup may be gone when containerd requests them.
pub async fn keep(task: &Arc<Task>) {
    if task.loses_stats() {
        let kept = Arc::clone(task);
        let keep = blocking(move || {
            kept.keep_stats(now);
            Ok(())
        });
        if let Err(error) = keep.await {
            log::error!("container {}: {error:#}", task.workload().id);
        }
    }
}

/// The metrics of a task if its cgroup exists. May block.
pub fn now(task: &Task) -> Option<StatsResponse> {
    stats(task).ok().flatten()
}

/// The metrics of a task if its cgroup exists. What the kernel does not count is 0. Guests that ran out of memory are
/// added, since the kernel does not count them.
fn stats(task: &Task) -> anyhow::Result<Option<StatsResponse>> {
    let (cgroup, guest_ooms) = (&task.cgroup, task.oom.guest_ooms());
    let metrics: Box<dyn MessageDyn> = if cgroup.unified().is_some() {
        Box::new(v2::metrics(cgroup, guest_ooms))
    } else {
        Box::new(v1::metrics(cgroup, guest_ooms))
    };
    // Checked last: if the cgroup exists now, it existed during the reads above.
    if !cgroup.exists() {
        return Ok(None);
    }
    let value = metrics.write_to_bytes_dyn()?;
    let type_url = metrics.descriptor_dyn().full_name().to_owned();
    let stats = MessageField::some(Any { type_url, value, ..Any::default() });
    Ok(Some(StatsResponse { stats, ..StatsResponse::default() }))
}
