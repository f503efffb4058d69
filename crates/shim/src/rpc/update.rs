//! Update: other limits for a container that is there.

use std::sync::Arc;

use anyhow::Context;
use container::cgroup::{Cgroup, DevicePolicy};
use containerd_shim_protos::api::{Empty, UpdateTaskRequest};
use oci_spec::runtime::LinuxResources;
use ttrpc::Result;

use super::status::StatusOf;
use crate::apart::apart;
use crate::lock::lock;
use crate::task::{Event, Kind, Task};

/// Sets the limits that the request names. A Wasm guest's memory follows from its next growth on.
pub async fn update(task: Arc<Task>, request: UpdateTaskRequest) -> Result<Empty> {
    let _turn = task.first.turn.write().await;
    task.first.check(Event::Update).map_err(StatusOf::from)?;
    let updated = Arc::clone(&task);
    apart(move || set(&updated, &request)).await.map_err(StatusOf::from)?;
    Ok(Empty::new())
}

fn set(task: &Task, request: &UpdateTaskRequest) -> anyhow::Result<()> {
    let mut resources: LinuxResources =
        serde_json::from_slice(&request.resources.value).context("cannot read the resources to set")?;
    let most = resources.memory().as_ref().and_then(|memory| memory.limit()).filter(|limit| *limit != 0);
    keep(&mut resources, &lock(&task.limits));
    Cgroup::of(task.workload())?.limit(&resources, &task.cgroup)?;
    allow_devices(task, &resources)?;
    remember(&mut lock(&task.limits), &resources);
    if let (Kind::Wasm { memory, .. }, Some(_)) = (&task.kind, most) {
        memory.limit(workload::memory_limit(&resources))?;
    }
    Ok(())
}

/// Other devices, if they are others: Kubernetes says all that a spec has with each change of one limit, and v1
/// would refuse every device for a moment.
fn allow_devices(task: &Task, resources: &LinuxResources) -> anyhow::Result<()> {
    if resources.devices().is_none() || resources.devices() == lock(&task.limits).devices() {
        return Ok(());
    }
    let whose =
        if matches!(task.kind, Kind::Wasm { .. }) { DevicePolicy::Guest } else { DevicePolicy::Program };
    task.cgroup.allow_devices(task.workload(), resources, whose)
}

/// Says again what libcgroups would else reset when a part of its group is named: the quota of a CPU that
/// is given other shares, and whether the kernel may kill for want of memory.
fn keep(resources: &mut LinuxResources, now: &LinuxResources) {
    if let (Some(cpu), Some(had)) = (resources.cpu_mut(), now.cpu())
        && cpu.quota().is_none()
        && cpu.period().is_none()
    {
        cpu.set_quota(had.quota()).set_period(had.period());
    }
    if let (Some(memory), Some(had)) = (resources.memory_mut(), now.memory())
        && memory.disable_oom_killer().is_none()
    {
        memory.set_disable_oom_killer(had.disable_oom_killer());
    }
}

/// Notes what [`keep`] and [`allow_devices`] must know the next time.
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
