//! Create: from a bundle to a process at its gate; on failure, everything is undone.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::bail;
use container::stdio::Paths;
use containerd_shim_protos::api::{CreateTaskRequest, CreateTaskResponse};
use containerd_shim_protos::events::task::{TaskCreate, TaskIO};
use containerd_shim_protos::protobuf::MessageField;
use ttrpc::{Code, Result};
use workload::Workload;

use super::status::{StatusOf, status};
use crate::daemon::Daemon;
use crate::end::take_down;
use crate::record::{Record, read_workload};
use crate::task::Task;
use crate::{launch, options};

/// Makes the container and publishes TaskCreate.
pub async fn create(daemon: Arc<Daemon>, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
    let id = request.id.clone();
    daemon.create_requested.store(true, Ordering::Relaxed);
    if !daemon.tasks.reserve(&id) {
        return Err(status(Code::ALREADY_EXISTS, format!("container {id} exists already")));
    }
    let task = match make_or_undo(&daemon, &request).await {
        Ok(task) => task,
        Err(error) => {
            daemon.free(&id);
            return Err(StatusOf::from(error).into());
        }
    };
    let pid = task.first.pid();
    daemon.events.publish(&announcement(&request, pid));
    daemon.watch(&task, &task.first);
    Ok(CreateTaskResponse { pid, ..CreateTaskResponse::default() })
}

async fn make_or_undo(daemon: &Daemon, request: &CreateTaskRequest) -> anyhow::Result<Arc<Task>> {
    if !request.checkpoint.is_empty() {
        bail!("cannot restore a checkpoint: this shim makes none");
    }
    let mut record = Record::new(options::read(request.options.as_ref(), &daemon.namespace)?);
    let workload = read_workload(&request.id, Path::new(&request.bundle), record.options.clone())?;
    let made = make_and_fill(daemon, request, &workload, &mut record).await;
    if made.is_err() {
        undo(daemon, &workload, &record).await;
    }
    made
}

async fn make_and_fill(
    daemon: &Daemon,
    request: &CreateTaskRequest,
    workload: &Workload,
    record: &mut Record,
) -> anyhow::Result<Arc<Task>> {
    let paths = Paths {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
    };
    let (launcher, tasks) = (daemon.launcher(), &daemon.tasks);
    let task = Arc::new(launch::container(launcher, tasks, workload, &request.rootfs, paths, record).await?);
    let filled = tasks.fill(&task);
    match task.first.born() {
        Some(born) => daemon.nursery.or_end(born, filled).await?,
        None => filled?,
    }
    Ok(task)
}

/// Undoes a failed Create. It uses the record in memory: after a timeout of containerd, a `delete` may have removed the
/// bundle meanwhile, with the record in it and what was made by then. Errors are only logged: the user needs the one
/// that made Create fail.
async fn undo(daemon: &Daemon, workload: &Workload, record: &Record) {
    if let Err(error) = take_down(&daemon.nursery, workload, record).await {
        log::warn!("container {}: after a failed Create: {error:#}", workload.id);
    }
}

fn announcement(request: &CreateTaskRequest, pid: u32) -> TaskCreate {
    TaskCreate {
        container_id: request.id.clone(),
        bundle: request.bundle.clone(),
        rootfs: request.rootfs.clone(),
        io: MessageField::some(TaskIO {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
            ..TaskIO::default()
        }),
        checkpoint: request.checkpoint.clone(),
        pid,
        ..TaskCreate::default()
    }
}
