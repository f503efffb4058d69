//! What may be asked of a task without changing it: state, wait, pids, connect.

use container::cgroup::Cgroup;
use containerd_shim_protos::api::{
    ConnectResponse, PidsResponse, ProcessInfo, StateResponse, Status, WaitResponse,
};
use containerd_shim_protos::protobuf::MessageField;
use ttrpc::{Code, Result};

use super::{StatusOf, status};
use crate::task::{State, Task};

/// Everything containerd shows of a task.
pub fn state(task: &Task) -> StateResponse {
    let ended = task.ended();
    StateResponse {
        id: task.workload.id.clone(),
        bundle: task.workload.bundle.display().to_string(),
        pid: task.process.pid.cast_unsigned(),
        status: match task.state() {
            State::Created => Status::CREATED.into(),
            State::Running => Status::RUNNING.into(),
            State::Stopped | State::Deleted => Status::STOPPED.into(),
        },
        stdin: task.paths.stdin.clone(),
        stdout: task.paths.stdout.clone(),
        stderr: task.paths.stderr.clone(),
        exit_status: ended.as_ref().map_or(0, |ended| ended.status),
        exited_at: MessageField::from_option(ended.map(|ended| ended.at)),
        ..StateResponse::default()
    }
}

/// Answers when the task has ended.
pub async fn wait(task: &Task) -> Result<WaitResponse> {
    let Some(ended) = task.wait().await else {
        return Err(status(Code::INTERNAL, "the task vanished".into()));
    };
    Ok(WaitResponse {
        exit_status: ended.status,
        exited_at: MessageField::some(ended.at),
        ..WaitResponse::default()
    })
}

/// Every process of the container. containerd takes an empty answer for a shim that leaked.
pub fn pids(task: &Task) -> Result<PidsResponse> {
    let mut pids = Cgroup::of(&task.workload).map_err(StatusOf::from)?.pids();
    if pids.is_empty() {
        pids.push(task.process.pid);
    }
    let processes = pids
        .into_iter()
        .map(|pid| ProcessInfo { pid: pid.cast_unsigned(), ..ProcessInfo::default() })
        .collect();
    Ok(PidsResponse { processes, ..PidsResponse::default() })
}

/// Who serves the task, and what it is.
pub fn connect(task: Option<&Task>) -> ConnectResponse {
    ConnectResponse {
        shim_pid: std::process::id(),
        task_pid: task.map_or(0, |task| task.process.pid.cast_unsigned()),
        version: env!("CARGO_PKG_VERSION").into(),
        ..ConnectResponse::default()
    }
}
