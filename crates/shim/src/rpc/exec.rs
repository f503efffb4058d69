//! Exec: one more process in a container, asked for here and begun by its Start.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use container::birth::Born;
use container::cgroup::{Folders, Way};
use container::inside::Inside;
use container::namespaces::Namespaces;
use container::stdio::Paths;
use containerd_shim_protos::api::{Empty, ExecProcessRequest, StartResponse};
use containerd_shim_protos::events::task::{TaskExecAdded, TaskExecStarted};
use tokio::time::timeout;
use ttrpc::{Code, Result};
use workload::Workload;

use super::bear::{Given, at_gate, delivered, expect, or_end, set_oom_score};
use super::exit::watch;
use super::{StatusOf, status};
use crate::code::{self, Fresh};
use crate::daemon::Daemon;
use crate::guest_memory::GuestMemory;
use crate::nursery::Line;
use crate::payload::{
    Entrance, ExecGuest, ExecProgram, Order, PidFd, Report, Request, TerminalFd, WorkloadFd,
};
use crate::streams::{self, Opened, Streams};
use crate::task::{Event, Kind, Process, Task};

/// Notes what is to be run, under a name of its own.
pub fn add(daemon: &Daemon, task: &Task, request: ExecProcessRequest) -> Result<Empty> {
    task.first.check(Event::Exec).map_err(StatusOf::from)?;
    let workload = read(task.workload(), &request).map_err(StatusOf::from)?;
    let paths = Paths { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr };
    if request.exec_id.is_empty() || !task.add(Process::asked(request.exec_id.clone(), workload, paths)) {
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

/// Brings the process into the container, lets it run, and announces it before its end can be.
pub async fn start(daemon: Arc<Daemon>, task: Arc<Task>, process: Arc<Process>) -> Result<StartResponse> {
    let _turn = process.turn.write().await;
    process.check(Event::Start).map_err(StatusOf::from)?;
    let what = what_to_run(&daemon, &task, &process.workload).await.map_err(StatusOf::from)?;
    // From here on the container must not be paused, and its end is told after this process's.
    let _containers_turn = task.first.turn.read().await;
    task.first.check(Event::Exec).map_err(StatusOf::from)?;
    let (born, streams) = run(&daemon, &task, &process, what).await.map_err(StatusOf::from)?;
    process.is_born(born, streams);
    process.advance(Event::Start).map_err(StatusOf::from)?;
    daemon.events.publish(&TaskExecStarted {
        container_id: process.workload.id.clone(),
        exec_id: process.exec_id.clone(),
        pid: process.pid(),
        ..TaskExecStarted::default()
    });
    tokio::spawn(watch(Arc::clone(&daemon), Arc::clone(&task), Arc::clone(&process)));
    Ok(StartResponse { pid: process.pid(), ..StartResponse::default() })
}

/// What a process of a container runs.
enum What<'a> {
    Guest(code::Code, Option<Fresh>, &'a GuestMemory),
    Program,
}

/// In a Wasm container a guest, and a Linux program only where its owner allowed that.
async fn what_to_run<'a>(daemon: &Daemon, task: &'a Task, workload: &Workload) -> anyhow::Result<What<'a>> {
    let Kind::Wasm { memory, layers, .. } = &task.kind else {
        return programs(workload).map(|()| What::Program);
    };
    // With its container an exec is over.
    let ended = || async { drop(task.first.wait().await) };
    let found = code::entrypoint(workload, ended()).await?;
    if found.format.is_wasm() {
        let (code, fresh) = code::of(daemon, workload, found, layers, ended()).await?;
        return Ok(What::Guest(code, fresh, memory));
    }
    programs(workload)?;
    if workload.allows_native_exec() {
        return Ok(What::Program);
    }
    bail!(
        "cannot execute {:?}: it is a Linux program; this is a Wasm container, whose execs are Wasm files. \
         Name one of those, or allow Linux programs by the container's annotation \
         lighter.wasm/allow-native-exec=true",
        workload.entrypoint.path
    )
}

/// Refuses a Linux program where the runtime's options deny them all, whatever the container's annotations allow.
fn programs(workload: &Workload) -> anyhow::Result<()> {
    ensure!(
        workload.allows_programs(),
        "cannot execute {:?}: it is a Linux program, and the runtime's option LinuxPrograms denies those",
        workload.entrypoint.path
    );
    Ok(())
}

async fn run(
    daemon: &Arc<Daemon>,
    task: &Task,
    process: &Process,
    what: What<'_>,
) -> anyhow::Result<(Born, Streams)> {
    let (workload, paths) = (&process.workload, &process.paths);
    let first = task.first.born().context("the container has no process")?;
    let entry = task.cgroup.entry()?;
    let (pid, first, cgroup) = (first.pid, PidFd(first.pidfd.as_fd()), Entrance::of(&entry)?);
    match what {
        What::Guest(code, fresh, memory) => {
            let opened = streams::open(daemon, workload, paths).await?;
            let given = Given::of(workload, code, memory)?;
            let (payload, stdio, files) = (given.payload(), opened.process.borrowed(), given.files());
            let request = Request::ExecGuest(ExecGuest { pid, first, cgroup, payload, stdio, files });
            let (born, line) = daemon.nursery.birth(request).await?;
            drop(given);
            let born = entered(daemon, task, workload, entry.way, born, &line).await?;
            let gone = soon(async { at_gate(workload, line).await?.open().await });
            or_end(daemon, &born, gone.await).await?;
            if let Some(fresh) = fresh {
                fresh.keep();
            }
            Ok((born, opened.streams))
        }
        What::Program => {
            let opened = streams::open_ends(daemon, workload, paths).await?;
            let described = WorkloadFd::of(workload)?;
            let (workload_fd, stdio) = (described.borrowed(), opened.process.borrowed());
            let request =
                Request::ExecProgram(ExecProgram { pid, first, cgroup, workload: workload_fd, stdio });
            let (born, line) = daemon.nursery.birth(request).await?;
            let born = entered(daemon, task, workload, entry.way, born, &line).await?;
            let streams = or_end(daemon, &born, soon(begun(workload, opened, &line)).await).await?;
            Ok((born, streams))
        }
    }
}

/// Lets a process into the container: into its namespaces by way of a midwife where there must be one,
/// into its cgroup, then on.
async fn entered(
    daemon: &Daemon,
    task: &Task,
    workload: &Workload,
    cgroup: Way,
    born: Born,
    line: &Line,
) -> anyhow::Result<Born> {
    let namespaces = Namespaces::of(&workload.spec);
    let born = if Inside::needs_midwife(&namespaces) { delivered(daemon, born, line).await? } else { born };
    let admitted = soon(async {
        expect(line, |report| matches!(report, Report::Joined)).await?;
        if cgroup == Way::Outside {
            admit(task, born.pid)?;
        }
        set_oom_score(workload, born.pid);
        line.send(Order::Enter).context("the exec's process is gone")
    });
    let admitted = admitted.await;
    or_end(daemon, &born, admitted).await?;
    Ok(born)
}

/// Into the cgroup that the container was given; where that one holds only others, as on v2 in a container
/// that makes cgroups of its own, into that of its first process.
fn admit(task: &Task, pid: i32) -> anyhow::Result<()> {
    task.cgroup.admit(pid).or_else(|refused| match task.first.born() {
        Some(first) => Folders::of(first.pid)?.admit(pid),
        None => Err(refused),
    })
}

/// Whoever is in the container already may stop a process that comes in; the container's own end must not
/// wait for it.
async fn soon<T>(step: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    const SOON: Duration = Duration::from_secs(20);
    let late = |_| Err(anyhow!("the exec's process does not answer; was it stopped in the container?"));
    timeout(SOON, step).await.unwrap_or_else(late)
}

/// Waits until the program has begun: its end of the line closes by that.
async fn begun(workload: &Workload, opened: Opened, line: &Line) -> anyhow::Result<Streams> {
    let streams = match line.report().await? {
        None => return Ok(opened.streams),
        Some(Report::Terminal(TerminalFd(terminal))) => opened.with_terminal(workload, terminal)?,
        Some(other) => bail!("the exec's process said {other:?} out of turn"),
    };
    match line.report().await? {
        None => Ok(streams),
        Some(other) => bail!("the exec's process said {other:?} out of turn"),
    }
}
