//! Exec: another process in a container, added by Exec and spawned by its Start.

use std::sync::Arc;

use anyhow::Context;
use container::stdio::Paths;
use containerd_shim_protos::api::{Empty, ExecProcessRequest, StartResponse};
use containerd_shim_protos::events::task::{TaskExecAdded, TaskExecStarted};
use ttrpc::{Code, Result};
use workload::Workload;

use super::status::{StatusOf, status};
use crate::daemon::Daemon;
use crate::launch::exec;
use crate::task::{Event, Process, Task};

/// Adds the process under its exec id.
pub fn add(daemon: &Daemon, task: &Task, request: ExecProcessRequest) -> Result<Empty> {
    task.first.check(Event::Exec).map_err(StatusOf::from)?;
    let workload = read(task.workload(), &request).map_err(StatusOf::from)?;
    let paths = Paths { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr };
    if request.exec_id.is_empty() || !task.add(Process::requested(request.exec_id.clone(), workload, paths)) {
        return Err(status(
            Code::ALREADY_EXISTS,
            format!("there is an exec {:?} in container {} already", request.exec_id, request.id),
        ));
    }
    daemon.events.publish(&TaskExecAdded {
        container_id: request.id,
        exec_id: request.exec_id,
        ..TaskExecAdded::default()
    });
    Ok(Empty::new())
}

/// The container with the process that the request describes.
fn read(container: &Workload, request: &ExecProcessRequest) -> anyhow::Result<Workload> {
    let mut process: oci_spec::runtime::Process =
        serde_json::from_slice(&request.spec.value).context("cannot read the exec's process")?;
    process.set_terminal(Some(request.terminal));
    Ok(container.with_process(process)?)
}

/// Spawns the process in the container, lets it run, and publishes its start before its exit can be published.
pub async fn start(daemon: Arc<Daemon>, task: Arc<Task>, process: Arc<Process>) -> Result<StartResponse> {
    let _turn = process.turn.write().await;
    process.check(Event::Start).map_err(StatusOf::from)?;
    let what = exec::prepare(&daemon.nursery, &task, &process.workload).await.map_err(StatusOf::from)?;
    // From here on the container must not be paused, and its exit is published after this process's.
    let _container_turn = task.first.turn.read().await;
    task.first.check(Event::Exec).map_err(StatusOf::from)?;
    let (born, streams) =
        exec::run(daemon.launcher(), &task, &process, what).await.map_err(StatusOf::from)?;
    process.is_born(born, streams);
    process.advance(Event::Start).map_err(StatusOf::from)?;
    daemon.events.publish(&TaskExecStarted {
        container_id: process.workload.id.clone(),
        exec_id: process.exec_id.clone(),
        pid: process.pid(),
        ..TaskExecStarted::default()
    });
    daemon.watch(&task, &process);
    Ok(StartResponse { pid: process.pid(), ..StartResponse::default() })
}
