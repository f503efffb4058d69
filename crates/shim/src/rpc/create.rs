//! Create: from a bundle to a process at its gate, or one sentence and nothing left behind.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use container::birth::Born;
use container::cgroup::Cgroup;
use container::channel;
use container::hooks::{self, Moment};
use container::namespaces::Namespaces;
use container::process::{self, Identity};
use container::rootfs::{self, Found, Snapshot};
use container::stdio::{self, Paths};
use containerd_shim_protos::api::{CreateTaskRequest, CreateTaskResponse, Mount};
use containerd_shim_protos::events::task::{TaskCreate, TaskExit, TaskIO};
use containerd_shim_protos::protobuf::MessageField;
use ttrpc::{Code, Result};
use workload::{Guest, Role, Workload, World};

use super::{StatusOf, delete, options, status};
use crate::daemon::Daemon;
use crate::nursery::Line;
use crate::payload::{Order, Report, Request, WasmPayload};
use crate::record::{Record, SNAPSHOT, read_workload};
use crate::task::{Ended, Event, Kind, Task, now};

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
    let stdio = stdio::open(&paths, workload.process().user().uid())?;
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

async fn make_wasm(
    daemon: &Daemon,
    workload: &Workload,
    found: Found,
    stdio: [OwnedFd; 3],
    record: &mut Record,
) -> anyhow::Result<(Line, Born)> {
    let (world, code) = compile(daemon, workload, found).await?;
    let namespaces = Namespaces::of(&workload.spec);
    let payload = WasmPayload { guest: Guest::of(workload, world), workload: workload.clone() };
    let payload = channel::sealed_json("workload", &payload)?;
    let [stdin, stdout, stderr] = &stdio;
    let fds = [payload.as_fd(), code.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let asked = Instant::now();
    let (born, line) = daemon.nursery.birth(&Request::Wasm(namespaces.clone()), &fds).await?;
    log::debug!("container {}: born {:?} after it was asked for", workload.id, asked.elapsed());
    let born = if namespaces.need_midwife() { delivered(daemon, born, &line).await? } else { born };
    record.process = Identity::of(born.pid).ok();
    record.write(&workload.bundle)?;
    match bring_to_gate(daemon, workload, &namespaces, &born, &line, record).await {
        Ok(()) => {
            log::debug!(
                "container {}: at its gate {:?} after it was asked for",
                workload.id,
                asked.elapsed()
            );
            Ok((line, born))
        }
        Err(error) => {
            // It may have ended by itself: then only the reaping is left.
            let _ = process::signal(&born.pidfd, libc::SIGKILL);
            let _ = daemon.nursery.ended(&born).await;
            Err(error)
        }
    }
}

/// Has the Wasm read, judged and compiled by a process of its own.
async fn compile(
    daemon: &Daemon,
    workload: &Workload,
    found: Found,
) -> anyhow::Result<(World, std::fs::File)> {
    let entrypoint = &workload.entrypoint;
    let code = channel::memory_file("code")?;
    let request = Request::Prepare { format: found.format, function: entrypoint.function.clone() };
    let asked = Instant::now();
    let report = daemon.nursery.errand(&request, &[found.file.as_fd(), code.as_fd()]).await;
    log::debug!("container {}: compiled {:?} after it was asked for", workload.id, asked.elapsed());
    match report.with_context(|| format!("cannot run {:?}", entrypoint.path))? {
        Report::Prepared(world) => {
            channel::seal(&code).context("cannot seal the compiled code")?;
            Ok((world, code))
        }
        other => bail!("the compiler's process said {other:?}"),
    }
}

/// Lets the midwife go and returns whom it gave birth to.
async fn delivered(daemon: &Daemon, midwife: Born, line: &Line) -> anyhow::Result<Born> {
    let report = line.report().await;
    daemon.nursery.ended(&midwife).await.context("cannot wait for a child")?;
    match report?.map(|(report, mut fds)| (report, fds.pop())) {
        Some((Report::Delivered(pid), Some(pidfd))) => {
            daemon.nursery.await_end_of(pid);
            Ok(Born { pid, pidfd })
        }
        other => bail!("the process that enters the pod's namespaces said {other:?}"),
    }
}

/// Does outside what the box needs from outside, and waits until the guest is loaded.
async fn bring_to_gate(
    daemon: &Daemon,
    workload: &Workload,
    namespaces: &Namespaces,
    born: &Born,
    line: &Line,
    record: &mut Record,
) -> anyhow::Result<()> {
    expect(line, |report| matches!(report, Report::Joined)).await?;
    let joined = Instant::now();
    let cgroup = Cgroup::of(workload)?;
    cgroup.check_free()?;
    record.entered = true;
    record.write(&workload.bundle)?;
    cgroup.admit(born.pid, workload)?;
    set_oom_score(workload, born.pid);
    if namespaces.new_user() {
        namespaces.map_ids(&workload.spec, born.pid)?;
    }
    run_hooks(daemon, workload, Moment::Created, born.pid).await?;
    log::debug!("container {}: cgroup and hooks took {:?}", workload.id, joined.elapsed());
    line.send(&Order::Enter).context("the container's process is gone")?;
    expect(line, |report| matches!(report, Report::Ready)).await
}

/// Sets the spec's OOM score from outside, where it does not need the box's cooperation. Hosts that do
/// not let the daemon lower it run the container with what it has: it is no reason not to run.
fn set_oom_score(workload: &Workload, pid: i32) {
    let Some(score) = workload.process().oom_score_adj() else { return };
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
        log::warn!("container {}: cannot set the OOM score to {score}: {error}", workload.id);
    }
}

async fn expect(line: &Line, is_it: impl Fn(&Report) -> bool) -> anyhow::Result<()> {
    match line.report().await? {
        Some((report, _)) if is_it(&report) => Ok(()),
        Some((other, _)) => bail!("the container's process said {other:?} out of turn"),
        None => {
            bail!("the container's process ended while its box was built; was it killed, or out of memory?")
        }
    }
}

/// Runs the hooks of one moment, in a process of their own, if there are any.
pub async fn run_hooks(daemon: &Daemon, workload: &Workload, moment: Moment, pid: i32) -> anyhow::Result<()> {
    if !hooks::any(&workload.spec, moment) {
        return Ok(());
    }
    let payload = channel::sealed_json("workload", workload)?;
    daemon.nursery.errand(&Request::Hooks { moment, pid }, &[payload.as_fd()]).await.map(drop)
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

/// Waits for the process's end and tells everybody.
async fn watch(daemon: Arc<Daemon>, task: Arc<Task>) {
    let status = match daemon.nursery.ended(&task.process).await {
        Ok(status) => status,
        Err(error) => return log::error!("container {}: cannot wait for its end: {error}", task.workload.id),
    };
    log::debug!("container {}: its process ended with status {status}", task.workload.id);
    let ended = Ended { status, at: now() };
    // A Start that is on its way announces itself first.
    let _turn = task.turn.lock().await;
    if let Kind::Native = task.kind
        && let Err(error) = end_the_rest(&task.workload)
    {
        log::warn!("container {}: {error:#}", task.workload.id);
    }
    if let Err(refusal) = task.advance(Event::Exit) {
        log::error!("container {}: {refusal}", task.workload.id);
    }
    daemon.events.publish(&TaskExit {
        container_id: task.workload.id.clone(),
        id: task.workload.id.clone(),
        pid: task.process.pid.cast_unsigned(),
        exit_status: ended.status,
        exited_at: MessageField::some(ended.at.clone()),
        ..TaskExit::default()
    });
    task.end(ended);
}

/// With its first process a container is over. The kernel sees to that in a pid namespace of its own;
/// in a shared one the others are killed here, or they would keep its pipes open.
fn end_the_rest(workload: &Workload) -> anyhow::Result<()> {
    if Namespaces::of(&workload.spec).new & libc::CLONE_NEWPID == 0 {
        Cgroup::of(workload)?.kill_all();
    }
    Ok(())
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
