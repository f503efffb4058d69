//! One more process in a container, from what is to run to the process that runs.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use container::birth::Born;
use container::cgroup::{EntryMode, Folders};
use container::inside::Inside;
use tokio::time::timeout;
use workload::Workload;

use super::birth::{Given, set_oom_score};
use super::code::{self, Code, Fresh};
use crate::apart::apart;
use crate::guest_memory::GuestMemory;
use crate::nursery::{Gate, Line, Nursery};
use crate::payload::{
    Entrance, ExecGuest, ExecProgram, Order, PidFd, Report, Request, TerminalFd, WorkloadFd,
};
use crate::streams::{self, Launcher, Opened, Streams};
use crate::task::{Kind, Process, Task};

/// What a process of a container runs.
pub enum What<'a> {
    Guest(Box<Code>, Option<Fresh>, &'a GuestMemory),
    Program,
}

/// Finds what is to run, and the code of it: in a Wasm container a guest, and a Linux program only where its owner
/// allowed that.
///
/// # Errors
/// A sentence for the user.
pub async fn prepare<'a>(nursery: &Nursery, task: &'a Task, workload: &Workload) -> anyhow::Result<What<'a>> {
    let Kind::Wasm { memory, layers, .. } = &task.kind else {
        return programs(workload).map(|()| What::Program);
    };
    // With its container an exec is over.
    let ended = || async { drop(task.first.wait().await) };
    let found = code::entrypoint(workload, layers, ended()).await?;
    if found.format.is_wasm() {
        let (code, fresh) = code::of(nursery, workload, found, ended()).await?;
        return Ok(What::Guest(Box::new(code), fresh, memory));
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

/// Has it born in the container, and lets it run.
///
/// # Errors
/// A sentence for the user; the process is gone then.
pub async fn run(
    launcher: Launcher<'_>,
    task: &Task,
    process: &Process,
    what: What<'_>,
) -> anyhow::Result<(Born, Streams)> {
    let (workload, paths) = (&process.workload, &process.paths);
    let first = task.first.born().context("the container has no process")?;
    let folders = task.cgroup.clone();
    let entry = apart(move || folders.entry()).await?;
    let namespaces = task.namespaces.clone();
    let (pid, first, cgroup) = (first.pid, PidFd(first.pidfd.as_fd()), Entrance::of(&entry)?);
    match what {
        What::Guest(code, fresh, memory) => {
            let opened = streams::open(launcher, workload, paths).await?;
            let given = Given::of(workload, *code, memory)?;
            let (payload, stdio, files) = (given.payload(), opened.process.borrowed(), given.files());
            let request =
                Request::ExecGuest(ExecGuest { namespaces, pid, first, cgroup, payload, stdio, files });
            let (born, line) = launcher.nursery.birth(request).await?;
            drop(given);
            let born = entered(launcher.nursery, task, workload, entry.mode, born, &line).await?;
            let gone = soon(async { Gate::reached(workload, line).await?.open().await });
            launcher.nursery.or_end(&born, gone.await).await?;
            if let Some(fresh) = fresh {
                fresh.keep();
            }
            Ok((born, opened.streams))
        }
        What::Program => {
            let opened = streams::open_ends(launcher, workload, paths).await?;
            let described = WorkloadFd::of(workload)?;
            let (workload_fd, stdio) = (described.borrowed(), opened.process.borrowed());
            let request = Request::ExecProgram(ExecProgram {
                namespaces,
                pid,
                first,
                cgroup,
                workload: workload_fd,
                stdio,
            });
            let (born, line) = launcher.nursery.birth(request).await?;
            let born = entered(launcher.nursery, task, workload, entry.mode, born, &line).await?;
            let streams = launcher.nursery.or_end(&born, soon(begun(workload, opened, &line)).await).await?;
            Ok((born, streams))
        }
    }
}

/// Lets a process into the container: into its namespaces by way of a midwife where there must be one,
/// into its cgroup, then on.
async fn entered(
    nursery: &Nursery,
    task: &Task,
    workload: &Workload,
    cgroup: EntryMode,
    born: Born,
    line: &Line,
) -> anyhow::Result<Born> {
    let midwife = Inside::needs_midwife(&task.namespaces);
    let born = if midwife { nursery.delivered(born, line).await? } else { born };
    let admitted = soon(async {
        line.expect(|report| matches!(report, Report::Joined)).await?;
        if cgroup == EntryMode::FromOutside {
            admit(task, born.pid).await?;
        }
        // One that says nothing has its container's.
        let containers = || task.workload().process().oom_score_adj();
        let score = workload.process().oom_score_adj().or_else(containers);
        set_oom_score(&workload.id, score, born.pid);
        line.send(Order::Enter).context("the exec's process is gone")
    });
    let admitted = admitted.await;
    nursery.or_end(&born, admitted).await?;
    Ok(born)
}

/// Into the cgroup that the container was given; where that one holds only others, as on v2 in a container
/// that makes cgroups of its own, into that of its first process.
async fn admit(task: &Task, pid: i32) -> anyhow::Result<()> {
    let (folders, first) = (task.cgroup.clone(), task.first.born().map(|first| first.pid));
    let admitted = apart(move || {
        folders.admit(pid).or_else(|refused| match first {
            Some(first) => Folders::of(first)?.admit(pid),
            None => Err(refused),
        })
    });
    admitted.await
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
