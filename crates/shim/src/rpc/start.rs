//! Start: opens the gate.

use std::sync::Arc;
use std::time::Duration;

use container::hooks::Moment;
use containerd_shim_protos::api::StartResponse;
use containerd_shim_protos::events::task::TaskStart;
use tokio::time::timeout;
use ttrpc::Result;

use super::status::StatusOf;
use crate::daemon::Daemon;
use crate::nursery::Nursery;
use crate::task::{Event, Kind, Task};
use crate::watch::{oom, stats};

/// Lets the container's process run, and publishes its start before its exit can be published.
pub async fn start(daemon: Arc<Daemon>, task: Arc<Task>) -> Result<StartResponse> {
    let turn = task.first.turn.write().await;
    task.first.check(Event::Start).map_err(StatusOf::from)?;
    if let Err(error) = open_gate(&daemon.nursery, &task).await {
        drop(turn);
        await_exit(&task).await;
        return Err(StatusOf::from(error).into());
    }
    log::debug!("container {}: its gate is open", task.workload().id);
    task.first.advance(Event::Start).map_err(StatusOf::from)?;
    let pid = task.first.pid();
    daemon.events.publish(&TaskStart {
        container_id: task.workload().id.clone(),
        pid,
        ..TaskStart::default()
    });
    tokio::spawn(oom::watch(daemon.events.clone(), Arc::clone(&task)));
    stats::keep(&task).await;
    if let (Kind::Wasm { .. }, Some(born)) = (&task.kind, task.first.born())
        && let Err(error) = daemon.nursery.run_hooks(task.workload(), Moment::Started, born.pid).await
    {
        // OCI: a failing poststart hook is logged, and the lifecycle continues.
        log::warn!("container {}: {error:#}", task.workload().id);
    }
    Ok(StartResponse { pid, ..StartResponse::default() })
}

/// Waits for the exit of a guest whose start failed: the client may delete the container at once, which must not find
/// it in the created state.
async fn await_exit(task: &Task) {
    const PATIENCE: Duration = Duration::from_secs(5);
    if matches!(task.kind, Kind::Wasm { .. }) && timeout(PATIENCE, task.first.wait()).await.is_err() {
        log::warn!("container {}: it did not start, and its process does not end", task.workload().id);
    }
}

async fn open_gate(nursery: &Nursery, task: &Task) -> anyhow::Result<()> {
    match &task.kind {
        Kind::Wasm { gate, .. } => gate.open().await,
        Kind::Native => nursery.start_native(task.workload()).await,
    }
}
