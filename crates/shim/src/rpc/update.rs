//! Update: changes the limits of a container.

use std::sync::Arc;

use anyhow::Context;
use container::cgroup::{Cgroup, DevicePolicy};
use containerd_shim_protos::api::{Empty, UpdateTaskRequest};
use oci_spec::runtime::LinuxResources;
use ttrpc::Result;

use super::status::StatusOf;
use crate::blocking::blocking;
use crate::lock::lock;
use crate::task::{Event, Kind, Task};

/// Sets the limits that the request names. A Wasm guest obeys a new memory limit at its next growth.
pub async fn update(task: Arc<Task>, request: UpdateTaskRequest) -> Result<Empty> {
    let _turn = task.first.turn.write().await;
    task.first.check(Event::Update).map_err(StatusOf::from)?;
    let updated = Arc::clone(&task);
    blocking(move || set(&updated, &request)).await.map_err(StatusOf::from)?;
    Ok(Empty::new())
}

fn set(task: &Task, request: &UpdateTaskRequest) -> anyhow::Result<()> {
    let mut resources: LinuxResources =
        serde_json::from_slice(&request.resources.value).context("cannot read the resources to set")?;
    let max = resources.memory().as_ref().and_then(|memory| memory.limit()).filter(|limit| *limit != 0);
    keep(&mut resources, &lock(&task.limits));
    Cgroup::of(task.workload())?.limit(&resources, &task.cgroup)?;
    allow_devices(task, &resources)?;
    remember(&mut lock(&task.limits), &resources);
    if let (Kind::Wasm { memory, .. }, Some(_)) = (&task.kind, max) {
        memory.limit(workload::memory_limit(&resources))?;
    }
    Ok(())
}

/// Sets the device rules, if they differ: Kubernetes sends the whole spec with each change of a limit, and on v1
/// setting the rules denies every device for a moment.
fn allow_devices(task: &Task, resources: &LinuxResources) -> anyhow::Result<()> {
    if resources.devices().is_none() || resources.devices() == lock(&task.limits).devices() {
        return Ok(());
    }
    let whose =
        if matches!(task.kind, Kind::Wasm { .. }) { DevicePolicy::Guest } else { DevicePolicy::Program };
    task.cgroup.allow_devices(task.workload(), resources, whose)
}

/// Repeats the current values that libcgroups would otherwise reset when another value of the group is set: the CPU
/// quota when the shares change, and `disable_oom_killer`.
fn keep(resources: &mut LinuxResources, current: &LinuxResources) {
    if let (Some(cpu), Some(had)) = (resources.cpu_mut(), current.cpu())
        && cpu.quota().is_none()
        && cpu.period().is_none()
    {
        cpu.set_quota(had.quota()).set_period(had.period());
    }
    if let (Some(memory), Some(had)) = (resources.memory_mut(), current.memory())
        && memory.disable_oom_killer().is_none()
    {
        memory.set_disable_oom_killer(had.disable_oom_killer());
    }
}

/// Stores what [`keep`] and [`allow_devices`] need the next time.
fn remember(limits: &mut LinuxResources, set: &LinuxResources) {
    if let Some(devices) = set.devices() {
        limits.set_devices(Some(devices.clone()));
    }
    if let Some(cpu) = set.cpu() {
        limits.set_cpu(Some(cpu.clone()));
    }
    if let Some(memory) = set.memory() {
        limits.set_memory(Some(*memory));
    }
}
