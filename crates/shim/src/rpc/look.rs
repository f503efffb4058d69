//! What may be asked of a task without changing it: state, wait, pids, connect.

use containerd_shim_protos::api::{
    ConnectResponse, PidsResponse, ProcessInfo, StateResponse, Status, WaitResponse,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::oci::ProcessDetails;
use ttrpc::{Code, Result};

use super::status::{StatusOf, status};
use crate::apart::apart;
use crate::task::{Process, State, Task};

/// Everything containerd shows of a process.
pub fn state(task: &Task, process: &Process) -> StateResponse {
    let ended = process.ended();
    // A process in a frozen container is frozen, too.
    let state = match (process.state(), task.first.state()) {
        (State::Running, State::Paused) => State::Paused,
        (own, _) => own,
    };
    StateResponse {
        id: process.workload.id.clone(),
        exec_id: process.exec_id.clone(),
        bundle: process.workload.bundle.display().to_string(),
        pid: process.pid(),
        status: match state {
            State::Created => Status::CREATED.into(),
            State::Running => Status::RUNNING.into(),
            State::Paused => Status::PAUSED.into(),
            State::Stopped | State::Deleted => Status::STOPPED.into(),
        },
        stdin: process.paths.stdin.clone(),
        stdout: process.paths.stdout.clone(),
        stderr: process.paths.stderr.clone(),
        terminal: process.workload.terminal(),
        exit_status: ended.as_ref().map_or(0, |ended| ended.status),
        exited_at: MessageField::from_option(ended.map(|ended| ended.at)),
        ..StateResponse::default()
    }
}

/// Answers when the process has ended.
pub async fn wait(process: &Process) -> Result<WaitResponse> {
    let Some(ended) = process.wait().await else {
        return Err(status(Code::INTERNAL, "the process vanished".into()));
    };
    Ok(WaitResponse {
        exit_status: ended.status,
        exited_at: MessageField::some(ended.at),
        ..WaitResponse::default()
    })
}

/// Every process of the container, by which exec it is. containerd takes an empty answer for a shim that
/// leaked.
pub async fn pids(task: &Task) -> Result<PidsResponse> {
    let cgroup = task.cgroup.clone();
    let mut pids = apart(move || Ok(cgroup.pids())).await.map_err(StatusOf::from)?;
    if pids.is_empty() {
        pids.extend(task.first.born().map(|born| born.pid));
    }
    let execs = task.execs();
    let named = |pid: i32| {
        let pid = pid.cast_unsigned();
        let exec = execs.iter().find(|exec| exec.pid() == pid);
        let info = exec.map(|exec| details(&exec.exec_id)).transpose().map_err(StatusOf::from)?;
        Ok(ProcessInfo { pid, info: MessageField::from_option(info), ..ProcessInfo::default() })
    };
    let processes = pids.into_iter().map(named).collect::<Result<_>>()?;
    Ok(PidsResponse { processes, ..PidsResponse::default() })
}

/// What containerd's clients read an exec's name from, whatever the runtime.
fn details(exec_id: &str) -> anyhow::Result<Any> {
    let details = ProcessDetails { exec_id: exec_id.to_owned(), ..ProcessDetails::default() };
    let value = details.write_to_bytes()?;
    Ok(Any { type_url: "containerd.runc.v1.ProcessDetails".into(), value, ..Any::default() })
}

/// Who serves the task, and what it is.
pub fn connect(task: Option<&Task>) -> ConnectResponse {
    ConnectResponse {
        shim_pid: std::process::id(),
        task_pid: task.map_or(0, |task| task.first.pid()),
        version: env!("CARGO_PKG_VERSION").into(),
        ..ConnectResponse::default()
    }
}
