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
use crate::awaited;
use crate::daemon::Daemon;
use crate::nursery::{Line, ended};
use crate::payload::{Order, Report, Request, WasmPayload};
use crate::record::{Record, read_workload};
use crate::task::{Ended, Event, Kind, Task, now};

/// Makes the container and announces it.
pub async fn create(daemon: Arc<Daemon>, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
    let id = request.id.clone();
    if !daemon.tasks.reserve(&id) {
        return Err(status(Code::ALREADY_EXISTS, format!("container {id} exists already")));
    }
    let (task, stdin_closed) = match make(&daemon, &request).await {
        Ok((task, stdin_closed)) => (Arc::new(task), stdin_closed),
        Err(error) => {
            let sentence = format!("{error:#}");
            undo(&daemon, &request).await;
            daemon.tasks.free(&id);
            return Err(StatusOf::from(anyhow::anyhow!(sentence)).into());
        }
    };
    daemon.tasks.fill(Arc::clone(&task));
    daemon.events.publish(&announcement(&request, task.pid));
    tokio::spawn(watch(Arc::clone(&daemon), Arc::clone(&task)));
    if let Some(closed) = stdin_closed {
        tokio::spawn(pass_on_end_of_input(closed, Arc::clone(&task)));
    }
    Ok(CreateTaskResponse { pid: task.pid.cast_unsigned(), ..CreateTaskResponse::default() })
}

async fn make(daemon: &Daemon, request: &CreateTaskRequest) -> anyhow::Result<(Task, Option<OwnedFd>)> {
    if request.terminal {
        bail!("this version of the Lighter shim has no terminals; run the container without -t");
    }
    let bundle = Path::new(&request.bundle);
    let options = options::read(request.options.as_ref())?;
    let mut record = Record { options: options.clone(), native: false, process: None };
    record.write(bundle)?;
    let workload = read_workload(&request.id, bundle, options)?;
    for Mount { type_: kind, source, options, .. } in &request.rootfs {
        rootfs::mount_snapshot(Snapshot { kind, source, options }, &workload.rootfs())?;
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
    record.write(bundle)?;
    let (kind, born) = match wasm {
        Some(found) => {
            let (line, born) = make_wasm(daemon, &workload, found, stdio.process, &mut record).await?;
            (Kind::Wasm(line), born)
        }
        None => (Kind::Native, make_native(daemon, &workload, stdio.process).await?),
    };
    record.process = Some(Identity::of(born.pid).context("the container's process ended at once")?);
    record.write(bundle)?;
    Ok((Task::new(workload, kind, born.pid, born.pidfd, paths, stdio.hold), stdio.stdin_closed))
}

async fn make_native(daemon: &Daemon, workload: &Workload, stdio: [OwnedFd; 3]) -> anyhow::Result<Born> {
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
    let born = if namespaces.need_midwife() { delivered(born, &line).await? } else { born };
    record.process = Identity::of(born.pid).ok();
    record.write(&workload.bundle)?;
    match bring_to_gate(daemon, workload, &namespaces, &born, &line).await {
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
            let _ = ended(&born.pidfd).await;
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
async fn delivered(midwife: Born, line: &Line) -> anyhow::Result<Born> {
    let report = line.report().await;
    ended(&midwife.pidfd).await.context("cannot wait for a child")?;
    match report?.map(|(report, mut fds)| (report, fds.pop())) {
        Some((Report::Delivered(pid), Some(pidfd))) => Ok(Born { pid, pidfd }),
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
) -> anyhow::Result<()> {
    expect(line, |report| matches!(report, Report::Joined)).await?;
    let joined = Instant::now();
    Cgroup::of(workload)?.admit(born.pid, workload)?;
    if namespaces.new_user() {
        namespaces.map_ids(&workload.spec, born.pid)?;
    }
    run_hooks(daemon, workload, Moment::Created, born.pid).await?;
    log::debug!("container {}: cgroup and hooks took {:?}", workload.id, joined.elapsed());
    line.send(&Order::Enter).context("the container's process is gone")?;
    expect(line, |report| matches!(report, Report::Ready)).await
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
        let record = Record::read(bundle)?;
        let options = record.map(|record| (record.options, record.native));
        match options.map(|(options, native)| (read_workload(&request.id, bundle, options), native)) {
            Some((Ok(workload), native)) => delete::remove(daemon, &workload, native, 0).await,
            // Without a spec nothing of it was made.
            Some((Err(_), _)) | None => Ok(()),
        }
    };
    if let Err(error) = undone.await {
        log::warn!("container {}: after a failed Create: {error:#}", request.id);
    }
}

/// Waits for the process's end and tells everybody.
async fn watch(daemon: Arc<Daemon>, task: Arc<Task>) {
    let status = match ended(&task.pidfd).await {
        Ok(status) => status,
        Err(error) => return log::error!("container {}: cannot wait for its end: {error}", task.workload.id),
    };
    log::debug!("container {}: its process ended with status {status}", task.workload.id);
    let ended = Ended { status, at: now() };
    // A Start that is on its way announces itself first.
    let _turn = task.turn.lock().await;
    if let Err(refusal) = task.advance(Event::Exit) {
        log::error!("container {}: {refusal}", task.workload.id);
    }
    daemon.events.publish(&TaskExit {
        container_id: task.workload.id.clone(),
        id: task.workload.id.clone(),
        pid: task.pid.cast_unsigned(),
        exit_status: ended.status,
        exited_at: MessageField::some(ended.at.clone()),
        ..TaskExit::default()
    });
    task.end(ended);
}

/// Lets go of standard input when the client has: some clients never send CloseIO.
async fn pass_on_end_of_input(closed: OwnedFd, task: Arc<Task>) {
    let Ok(closed) = awaited::readable(closed) else { return };
    tokio::select! {
        _ = closed.readable() => task.close_stdin(),
        _ = task.wait() => {}
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
