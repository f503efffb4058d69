//! Delete: removes what Create made.

use std::sync::Arc;

use container::process;
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::events::task::TaskDelete;
use containerd_shim_protos::protobuf::MessageField;
use ttrpc::{Code, Result};

use super::status::{StatusOf, status};
use crate::daemon::Daemon;
use crate::end::take_down;
use crate::events::now;
use crate::task::{Ended, Event, Process, ProcessState, Task};

/// Removes a task that has ended, or was never started.
pub async fn delete(daemon: Arc<Daemon>, task: Arc<Task>) -> Result<DeleteResponse> {
    let first = &task.first;
    if let (ProcessState::Created, Some(born)) = (first.state(), first.born()) {
        // It may have ended by itself since the check.
        let _ = process::signal(&born.pidfd, libc::SIGKILL);
        first.wait().await;
    }
    let response = take_away(first).await?;
    let workload = task.workload();
    let removed = take_down(&daemon.nursery, workload, &task.record).await;
    // The task is gone for containerd even if something is left of it: another Delete would be refused because of the
    // state.
    daemon.tasks.free(&workload.id);
    daemon.events.publish(&TaskDelete {
        container_id: workload.id.clone(),
        pid: response.pid,
        exit_status: response.exit_status,
        exited_at: response.exited_at.clone(),
        ..TaskDelete::default()
    });
    removed.map_err(StatusOf::from)?;
    Ok(response)
}

/// Removes an exec that has ended, or was never started.
pub async fn delete_exec(task: &Task, exec: &Process) -> Result<DeleteResponse> {
    let _turn = exec.turn.write().await;
    if exec.state() == ProcessState::Created {
        // Wakes the clients that wait for its exit.
        exec.advance(Event::Exit).map_err(StatusOf::from)?;
        exec.end(Ended { status: 0, at: now() });
    }
    let response = take_away(exec).await?;
    task.remove(&exec.exec_id);
    Ok(response)
}

/// Marks the process as deleted, and waits for its last output.
async fn take_away(process: &Process) -> Result<DeleteResponse> {
    process.advance(Event::Delete).map_err(StatusOf::from)?;
    let Some(ended) = process.ended() else {
        return Err(status(Code::INTERNAL, "the process stopped without an end".into()));
    };
    process.drained().await;
    Ok(DeleteResponse {
        pid: process.pid(),
        exit_status: ended.status,
        exited_at: MessageField::some(ended.at),
        ..DeleteResponse::default()
    })
}
