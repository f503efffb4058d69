//! Delete: takes away what Create made.

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
use crate::task::{Ended, Event, Process, State, Task};

/// Removes a task that has ended, or that never ran.
pub async fn delete(daemon: Arc<Daemon>, task: Arc<Task>) -> Result<DeleteResponse> {
    let first = &task.first;
    if let (State::Created, Some(born)) = (first.state(), first.born()) {
        // It may end by itself between the question and the signal.
        let _ = process::signal(&born.pidfd, libc::SIGKILL);
        first.wait().await;
    }
    let response = take_away(first).await?;
    let workload = task.workload();
    let removed = take_down(&daemon.nursery, workload, &task.record).await;
    // The task is gone for containerd whatever is left of it: a Delete that fails would be asked for
    // again and find a state that refuses it.
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

/// Forgets an exec that has ended, or that was never started.
pub async fn delete_exec(task: &Task, exec: &Process) -> Result<DeleteResponse> {
    let _turn = exec.turn.write().await;
    if exec.state() == State::Created {
        // Whoever waits for its end need not wait any more.
        exec.advance(Event::Exit).map_err(StatusOf::from)?;
        exec.end(Ended { status: 0, at: now() });
    }
    let response = take_away(exec).await?;
    task.remove(&exec.exec_id);
    Ok(response)
}

/// The last of a process: its state is left for good, its output is waited for.
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
