//! The requests that do not change a task: State, Wait, Pids, Connect.

use containerd_shim_protos::api::{
    ConnectResponse, PidsResponse, ProcessInfo, StateResponse, Status, WaitResponse,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::oci::ProcessDetails;
use ttrpc::{Code, Result};

use super::status::{StatusOf, status};
use crate::blocking::blocking;
use crate::task::{Process, ProcessState, Task};

/// State: everything that containerd shows of a process.
pub fn state(task: &Task, process: &Process) -> StateResponse {
    let ended = process.ended();
    // A process in a frozen container is frozen, too.
    let state = match (process.state(), task.first.state()) {
        (ProcessState::Running, ProcessState::Paused) => ProcessState::Paused,
        (own, _) => own,
    };
    StateResponse {
        id: process.workload.id.clone(),
        exec_id: process.exec_id.clone(),
        bundle: process.workload.bundle.display().to_string(),
        pid: process.pid(),
        status: match state {
            ProcessState::Created => Status::CREATED.into(),
            ProcessState::Running => Status::RUNNING.into(),
            ProcessState::Paused => Status::PAUSED.into(),
            ProcessState::Stopped | ProcessState::Deleted => Status::STOPPED.into(),
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

/// Wait: returns when the process has ended.
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

/// Pids: every process of the container, with its exec id if it is an exec. containerd takes an empty list for a leaked
/// shim.
pub async fn pids(task: &Task) -> Result<PidsResponse> {
    let cgroup = task.cgroup.clone();
    let mut pids = blocking(move || Ok(cgroup.pids())).await.map_err(StatusOf::from)?;
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

/// The message in which containerd's clients find the exec id, for every runtime.
fn details(exec_id: &str) -> anyhow::Result<Any> {
    let details = ProcessDetails { exec_id: exec_id.to_owned(), ..ProcessDetails::default() };
    let value = details.write_to_bytes()?;
    Ok(Any { type_url: "containerd.runc.v1.ProcessDetails".into(), value, ..Any::default() })
}

/// Connect: the pids of this daemon and of the task.
pub fn connect(task: Option<&Task>) -> ConnectResponse {
    ConnectResponse {
        shim_pid: std::process::id(),
        task_pid: task.map_or(0, |task| task.first.pid()),
        version: env!("CARGO_PKG_VERSION").into(),
        ..ConnectResponse::default()
    }
}
