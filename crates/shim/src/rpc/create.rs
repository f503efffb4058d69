//! Create: from a bundle to a process at its gate, or one sentence and nothing left behind.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use container::birth::Born;
use container::cgroup::{self, Cgroup};
use container::entrypoint::Found;
use container::layers::Layers;
use container::process::{self, Identity};
use container::rootfs::{self, Snapshot};
use container::stdio::Paths;
use containerd_shim_protos::api::{CreateTaskRequest, CreateTaskResponse, Mount};
use containerd_shim_protos::events::task::{TaskCreate, TaskIO};
use containerd_shim_protos::protobuf::MessageField;
use ttrpc::{Code, Result};
use workload::{Role, Workload};

use super::bear::or_end;
use super::exit::watch;
use super::make_wasm::make_wasm;
use super::{StatusOf, delete, status};
use crate::apart::beside;
use crate::code;
use crate::daemon::Daemon;
use crate::options;
use crate::payload::{Report, Request, TerminalFd, WorkloadFd};
use crate::record::{self, Record, SNAPSHOT, read_workload};
use crate::streams::{self, Streams};
use crate::task::{Kind, Process, Task};

/// Makes the container and announces it.
pub async fn create(daemon: Arc<Daemon>, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
    let id = request.id.clone();
    daemon.asked.store(true, Ordering::Relaxed);
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
    tokio::spawn(watch(Arc::clone(&daemon), Arc::clone(&task), Arc::clone(&task.first)));
    Ok(CreateTaskResponse { pid, ..CreateTaskResponse::default() })
}

async fn make_or_undo(daemon: &Arc<Daemon>, request: &CreateTaskRequest) -> anyhow::Result<Arc<Task>> {
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
    daemon: &Arc<Daemon>,
    request: &CreateTaskRequest,
    workload: &Workload,
    record: &mut Record,
) -> anyhow::Result<Arc<Task>> {
    let task = Arc::new(make(daemon, request, workload, record).await?);
    let filled = daemon.tasks.fill(&task);
    match task.first.born() {
        Some(born) => or_end(daemon, born, filled).await?,
        None => filled?,
    }
    Ok(task)
}

async fn make(
    daemon: &Arc<Daemon>,
    request: &CreateTaskRequest,
    workload: &Workload,
    record: &mut Record,
) -> anyhow::Result<Task> {
    let bundle = &workload.bundle;
    // Each note is written before what it tells of, so that `delete` finds it whenever the daemon goes.
    record.mounted = !request.rootfs.is_empty();
    record.write(bundle)?;
    let target = bundle.join(SNAPSHOT);
    let mut layers = Layers::none_at(&target);
    for Mount { type_: kind, source, options, .. } in &request.rootfs {
        let snapshot = Snapshot { kind, source, options };
        layers = layers.and_of(&snapshot);
        rootfs::mount_snapshot(snapshot, &target)?;
    }
    rootfs::check_mount_sources(workload)?;
    let paths = Paths {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
    };
    let (workload, wasm) = match workload.role() {
        Role::Sandbox => (Cow::Borrowed(workload), None),
        Role::Application => entrypoint(daemon, workload).await?,
    };
    let workload = workload.as_ref();
    if wasm.is_none() && workload.role() == Role::Application && !workload.allows_programs() {
        bail!(
            "cannot run {:?}: it is a Linux program, and the runtime's option LinuxPrograms denies those: \
             here only Wasm runs",
            workload.entrypoint.path
        );
    }
    record.native = wasm.is_none();
    let (kind, born, streams) = match wasm {
        Some(found) => make_wasm(daemon, workload, found, layers, &paths, record).await?,
        None => make_native(daemon, workload, &paths, record).await?,
    };
    let cgroup = or_end(daemon, &born, cgroup::folders_of(workload, born.pid)).await?;
    let first = Process::asked(String::new(), workload.clone(), paths);
    first.is_born(born, streams);
    Ok(Task::new(record.clone(), kind, cgroup, first))
}

/// What is to run, and its file where that is Wasm. A guest takes the place of the init that stands before it.
async fn entrypoint<'a>(
    daemon: &Daemon,
    workload: &'a Workload,
) -> anyhow::Result<(Cow<'a, Workload>, Option<Found>)> {
    let given_up = || daemon.tasks.given_up(&workload.id);
    if let Some(behind) = workload.behind_init()
        // Of what is not there the init tells, as it does elsewhere.
        && let Ok(found) = code::entrypoint(&behind, given_up()).await
        && found.format.is_wasm()
    {
        return Ok((Cow::Owned(behind), Some(found)));
    }
    let found = code::entrypoint(workload, given_up()).await?;
    Ok((Cow::Borrowed(workload), Some(found).filter(|found| found.format.is_wasm())))
}

async fn make_native(
    daemon: &Arc<Daemon>,
    workload: &Workload,
    paths: &Paths,
    record: &mut Record,
) -> anyhow::Result<(Kind, Born, Streams)> {
    // What comes last takes longest.
    if let Err(error) = beside(cgroup::warm_up) {
        log::debug!("cannot make a thread: {error}");
    }
    let opened = streams::open_ends(daemon, workload, paths).await?;
    Cgroup::of(workload)?.check_free()?;
    record.entered = true;
    record.write(&workload.bundle)?;
    // Should this daemon be killed, its `delete` waits until nobody is making anything any more.
    let note = record::hold(&workload.bundle)?;
    let described = WorkloadFd::of(workload)?;
    let request = Request::NativeCreate {
        workload: described.borrowed(),
        stdio: opened.process.borrowed(),
        note: note.borrowed(),
    };
    let report = daemon.nursery.errand(request).await?;
    let Report::Created(pid, terminal) = report else {
        bail!("the process that makes native containers said {report:?}")
    };
    // It is our child, so its id is its own until we reap it.
    let born = Born { pid, pidfd: process::open(pid).context("the container's process ended at once")? };
    record.process = Identity::of(born.pid).ok();
    or_end(daemon, &born, record.write(&workload.bundle)).await?;
    let streams = match terminal {
        Some(TerminalFd(terminal)) => opened.with_terminal(workload, terminal),
        None => Ok(opened.streams),
    };
    let streams = or_end(daemon, &born, streams).await?;
    Ok((Kind::Native, born, streams))
}

/// Takes back whatever a failed Create had done. By what is known here: when containerd stopped waiting for
/// it, a `delete` may have taken the bundle away in the middle, with the note in it and what there was to
/// remove by then. What cannot be taken back is logged: the sentence that the user needs is the one that
/// made Create fail.
async fn undo(daemon: &Daemon, workload: &Workload, record: &Record) {
    if let Some(process) = record.process {
        process.kill();
    }
    if let Err(error) = delete::remove(daemon, workload, record).await {
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
