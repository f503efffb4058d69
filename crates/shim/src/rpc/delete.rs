//! Delete: takes away what Create made.

use std::sync::Arc;

use container::cgroup::Cgroup;
use container::hooks::Moment;
use container::{process, rootfs};
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::events::task::TaskDelete;
use containerd_shim_protos::protobuf::MessageField;
use ttrpc::{Code, Result};
use workload::Workload;

use super::hooks::run_hooks;
use super::{StatusOf, status};
use crate::apart::apart;
use crate::daemon::Daemon;
use crate::payload::{Request, WorkloadFd};
use crate::record::{self, Record, SNAPSHOT};
use crate::task::{Ended, Event, Process, State, Task, now};

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
    let removed = remove(&daemon, workload, &task.record).await;
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

/// Removes the cgroup, the mounts and libcontainer's state, and runs the `poststop` hooks. Every step
/// is tried, the hooks last; the first failure is told.
pub async fn remove(daemon: &Daemon, workload: &Workload, record: &Record) -> anyhow::Result<()> {
    let container = match record {
        Record { entered: false, .. } => Ok(()),
        Record { native: true, .. } => delete_native(daemon, workload).await,
        Record { .. } => match Cgroup::of(workload) {
            Ok(cgroup) => apart(move || cgroup.remove()).await,
            Err(error) => Err(error),
        },
    };
    let unmounted =
        if record.mounted { rootfs::unmount_all(&workload.bundle.join(SNAPSHOT)) } else { Ok(()) };
    // Where the note is gone, a `delete` of containerd's was here before, and ran them.
    let stopped = if record.entered && !record.native && record::is_noted(&workload.bundle) {
        let pid = record.process.map_or(0, |process| process.pid);
        run_hooks(daemon, workload, Moment::Stopped, pid).await
    } else {
        Ok(())
    };
    // Also after a failure: what could not be removed now is told now, and hooks run once.
    let forgotten = record::forget(&workload.bundle);
    container.and(unmounted).and(stopped).and(forgotten)
}

async fn delete_native(daemon: &Daemon, workload: &Workload) -> anyhow::Result<()> {
    let workload = WorkloadFd::of(workload)?;
    daemon.nursery.errand(Request::NativeDelete(workload.borrowed())).await.map(drop)
}
