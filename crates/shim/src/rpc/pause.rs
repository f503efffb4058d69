//! Pause and Resume: freezes and thaws all processes of a container.

use std::sync::Arc;

use containerd_shim_protos::api::Empty;
use containerd_shim_protos::events::task::{TaskPaused, TaskResumed};
use ttrpc::Result;

use super::status::StatusOf;
use crate::blocking::blocking;
use crate::daemon::Daemon;
use crate::task::{Event, Task};

/// Freezes the container's cgroup.
pub async fn pause(daemon: Arc<Daemon>, task: Arc<Task>) -> Result<Empty> {
    change(&task, Event::Pause).await?;
    daemon.events.publish(&TaskPaused { container_id: task.workload().id.clone(), ..TaskPaused::default() });
    Ok(Empty::new())
}

/// Thaws the container's cgroup.
pub async fn resume(daemon: Arc<Daemon>, task: Arc<Task>) -> Result<Empty> {
    change(&task, Event::Resume).await?;
    daemon
        .events
        .publish(&TaskResumed { container_id: task.workload().id.clone(), ..TaskResumed::default() });
    Ok(Empty::new())
}

async fn change(task: &Task, event: Event) -> Result<()> {
    let _turn = task.first.turn.write().await;
    task.first.check(event).map_err(StatusOf::from)?;
    let cgroup = task.cgroup.clone();
    let frozen = blocking(move || {
        let frozen = cgroup.freeze(event == Event::Pause);
        if frozen.is_err() && event == Event::Pause {
            // Undo a partial freeze: the container's state stays Running.
            let _ = cgroup.freeze(false);
        }
        frozen
    });
    frozen.await.map_err(StatusOf::from)?;
    Ok(task.first.advance(event).map_err(StatusOf::from)?)
}
