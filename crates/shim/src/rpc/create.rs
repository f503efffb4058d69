//! Create: from a bundle to a process at its gate, or one sentence and nothing left behind.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use container::birth::Born;
use container::cgroup::Cgroup;
use container::channel;
use container::process::{self, Identity};
use container::rootfs::{self, Snapshot};
use container::stdio::{self, Paths};
use containerd_shim_protos::api::{CreateTaskRequest, CreateTaskResponse, Mount};
use containerd_shim_protos::events::task::{TaskCreate, TaskIO};
use containerd_shim_protos::protobuf::MessageField;
use ttrpc::{Code, Result};
use workload::{Role, Workload};

use super::exit::watch;
use super::make_wasm::make_wasm;
use super::{StatusOf, delete, options, status};
use crate::daemon::Daemon;
use crate::payload::{Report, Request};
use crate::record::{Record, SNAPSHOT, read_workload};
use crate::task::{Kind, Task};

/// Makes the container and announces it.
pub async fn create(daemon: Arc<Daemon>, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
    let id = request.id.clone();
    if !daemon.tasks.reserve(&id) {
        return Err(status(Code::ALREADY_EXISTS, format!("container {id} exists already")));
    }
    let task = match make(&daemon, &request).await.and_then(|task| daemon.tasks.fill(task)) {
        Ok(task) => task,
        Err(error) => {
            undo(&daemon, &request).await;
            daemon.free(&id);
            return Err(StatusOf::from(error).into());
        }
    };
    daemon.events.publish(&announcement(&request, task.process.pid));
    tokio::spawn(watch(Arc::clone(&daemon), Arc::clone(&task)));
    Ok(CreateTaskResponse { pid: task.process.pid.cast_unsigned(), ..CreateTaskResponse::default() })
}

async fn make(daemon: &Daemon, request: &CreateTaskRequest) -> anyhow::Result<Task> {
    if request.terminal {
        bail!("this version of the Lighter shim has no terminals; run the container without -t");
    }
    let bundle = Path::new(&request.bundle);
    let mut record = Record::new(options::read(request.options.as_ref())?);
    let workload = read_workload(&request.id, bundle, record.options.clone())?;
    // Each note is written before what it tells of, so that `delete` finds it whenever the daemon goes.
    record.mounted = !request.rootfs.is_empty();
    record.write(bundle)?;
    for Mount { type_: kind, source, options, .. } in &request.rootfs {
        rootfs::mount_snapshot(Snapshot { kind, source, options }, &bundle.join(SNAPSHOT))?;
    }
    rootfs::check_mount_sources(&workload)?;
    let paths = Paths {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
    };
    let stdio = stdio::open(&paths, workload.host_uid())?;
    let wasm = match workload.role() {
        Role::Sandbox => None,
        Role::Application => Some(rootfs::find_entrypoint(&workload)?).filter(|found| found.format.is_wasm()),
    };
    record.native = wasm.is_none();
    let (kind, born) = match wasm {
        Some(found) => {
            let (line, born) = make_wasm(daemon, &workload, found, stdio.process, &mut record).await?;
            (Kind::Wasm(line), born)
        }
        None => (Kind::Native, make_native(daemon, &workload, stdio.process, &mut record).await?),
    };
    record.process = Identity::of(born.pid).ok();
    record.write(bundle)?;
    Ok(Task::new(workload, record, kind, born, paths, stdio.hold))
}

async fn make_native(
    daemon: &Daemon,
    workload: &Workload,
    stdio: [OwnedFd; 3],
    record: &mut Record,
) -> anyhow::Result<Born> {
    Cgroup::of(workload)?.check_free()?;
    record.entered = true;
    record.write(&workload.bundle)?;
    let payload = channel::sealed_json("workload", workload)?;
    let [stdin, stdout, stderr] = &stdio;
    let fds = [payload.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    match daemon.nursery.errand(&Request::NativeCreate, &fds).await? {
        // It is our child, so its id is its own until we reap it.
        Report::Created(pid) => {
            Ok(Born { pid, pidfd: process::open(pid).context("the container's process ended at once")? })
        }
        other => bail!("the process that makes native containers said {other:?}"),
    }
}

/// Takes back whatever a failed Create had done. What cannot be taken back is logged: the sentence
/// that the user needs is the one that made Create fail.
async fn undo(daemon: &Daemon, request: &CreateTaskRequest) {
    let bundle = Path::new(&request.bundle);
    let undone = async {
        let Some(record) = Record::read(bundle)? else { return Ok(()) };
        let workload = read_workload(&request.id, bundle, record.options.clone())?;
        if let Some(process) = record.process {
            process.kill();
        }
        delete::remove(daemon, &workload, &record).await
    };
    if let Err(error) = undone.await {
        log::warn!("container {}: after a failed Create: {error:#}", request.id);
    }
}

fn announcement(request: &CreateTaskRequest, pid: i32) -> TaskCreate {
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
        pid: pid.cast_unsigned(),
        ..TaskCreate::default()
    }
}
