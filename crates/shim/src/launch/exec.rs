//! Launches an exec: from its workload to the running process.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use container::birth::Born;
use container::cgroup::{CgroupDirs, EntryMode};
use container::inside::Inside;
use tokio::time::timeout;
use workload::Workload;

use super::birth::{GuestInputs, set_oom_score};
use super::code::{self, Fresh, GuestCode};
use crate::blocking::blocking;
use crate::guest_memory::GuestMemory;
use crate::nursery::{Gate, Line, Nursery};
use crate::payload::{
    Entrance, ExecGuest, ExecProgram, NurseryRequest, Order, PidFd, Report, TerminalFd, WorkloadFd,
};
use crate::streams::{self, Launcher, Opened, Streams};
use crate::task::{Kind, Process, Task};

/// The kind of an exec.
pub enum ExecKind<'a> {
    Guest(Box<GuestCode>, Option<Fresh>, &'a GuestMemory),
    Program,
}

/// Finds the file to run, and the code of a guest. A Wasm container runs Linux programs only if its annotation allows
/// that.
///
/// # Errors
/// A sentence for the user.
pub async fn prepare<'a>(
    nursery: &Nursery,
    task: &'a Task,
    workload: &Workload,
) -> anyhow::Result<ExecKind<'a>> {
    let Kind::Wasm { memory, layers, .. } = &task.kind else {
        return check_programs_allowed(workload).map(|()| ExecKind::Program);
    };
    // The end of its container cancels an exec.
    let ended = || async { drop(task.first.wait().await) };
    let found = code::entrypoint(workload, layers, ended()).await?;
    if found.format.is_wasm() {
        let (code, fresh) = code::of(nursery, workload, found, ended()).await?;
        return Ok(ExecKind::Guest(Box::new(code), fresh, memory));
    }
    check_programs_allowed(workload)?;
    if workload.allows_native_exec() {
        return Ok(ExecKind::Program);
    }
    bail!(
        "cannot execute {:?}: it is a Linux program; this is a Wasm container, whose execs are Wasm files. \
         Name one of those, or allow Linux programs by the container's annotation \
         lighter.wasm/allow-native-exec=true",
        workload.entrypoint.path
    )
}

/// Refuses a Linux program if the runtime's options deny them, even if the container's annotations allow them.
fn check_programs_allowed(workload: &Workload) -> anyhow::Result<()> {
    ensure!(
        workload.allows_programs(),
        "cannot execute {:?}: it is a Linux program, and the runtime's option LinuxPrograms denies those",
        workload.entrypoint.path
    );
    Ok(())
}

/// Spawns the process in the container, and lets it run.
///
/// # Errors
/// A sentence for the user; the process was killed and reaped.
pub async fn run(
    launcher: Launcher<'_>,
    task: &Task,
    process: &Process,
    kind: ExecKind<'_>,
) -> anyhow::Result<(Born, Streams)> {
    let (workload, paths) = (&process.workload, &process.paths);
    let first = task.first.born().context("the container has no process")?;
    let cgroup = task.cgroup.clone();
    let entry = blocking(move || cgroup.entry()).await?;
    let namespaces = task.namespaces.clone();
    let (pid, first, cgroup) = (first.pid, PidFd(first.pidfd.as_fd()), Entrance::of(&entry)?);
    match kind {
        ExecKind::Guest(code, fresh, memory) => {
            let opened = streams::open(launcher, workload, paths).await?;
            let inputs = GuestInputs::of(workload, *code, memory)?;
            let (payload, stdio, files) = (inputs.payload(), opened.process.borrowed(), inputs.files());
            let request = NurseryRequest::ExecGuest(ExecGuest {
                namespaces,
                pid,
                first,
                cgroup,
                payload,
                stdio,
                files,
            });
            let (born, line) = launcher.nursery.birth(request).await?;
            drop(inputs);
            let born = entered(launcher.nursery, task, workload, entry.mode, born, &line).await?;
            let started = with_timeout(async { Gate::reached(workload, line).await?.open().await });
            launcher.nursery.or_end(&born, started.await).await?;
            if let Some(fresh) = fresh {
                fresh.keep();
            }
            Ok((born, opened.streams))
        }
        ExecKind::Program => {
            let opened = streams::open_ends(launcher, workload, paths).await?;
            let described = WorkloadFd::of(workload)?;
            let (workload_fd, stdio) = (described.borrowed(), opened.process.borrowed());
            let request = NurseryRequest::ExecProgram(ExecProgram {
                namespaces,
                pid,
                first,
                cgroup,
                workload: workload_fd,
                stdio,
            });
            let (born, line) = launcher.nursery.birth(request).await?;
            let born = entered(launcher.nursery, task, workload, entry.mode, born, &line).await?;
            let streams =
                launcher.nursery.or_end(&born, with_timeout(begun(workload, opened, &line)).await).await?;
            Ok((born, streams))
        }
    }
}

/// Brings a process into the container: into its namespaces, by a midwife if they require it, and into its cgroup. Then
/// lets it continue.
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
    let admitted = with_timeout(async {
        line.expect(|report| matches!(report, Report::Joined)).await?;
        if cgroup == EntryMode::FromOutside {
            admit(task, born.pid).await?;
        }
        // The default is the container's score.
        let containers = || task.workload().process().oom_score_adj();
        let score = workload.process().oom_score_adj().or_else(containers);
        set_oom_score(&workload.id, score, born.pid);
        line.send(Order::Enter).context("the exec's process is gone")
    });
    let admitted = admitted.await;
    nursery.or_end(&born, admitted).await?;
    Ok(born)
}

/// Moves the process into the container's cgroup or, if that may contain no processes, as on v2 in a container that
/// makes cgroups of its own, into that of its first process.
async fn admit(task: &Task, pid: i32) -> anyhow::Result<()> {
    let (cgroup, first) = (task.cgroup.clone(), task.first.born().map(|first| first.pid));
    let admitted = blocking(move || {
        cgroup.admit(pid).or_else(|refused| match first {
            Some(first) => CgroupDirs::of(first)?.admit(pid),
            None => Err(refused),
        })
    });
    admitted.await
}

/// Limits the time of a step: processes in the container may stop one that enters, which must not delay the container's
/// own exit.
async fn with_timeout<T>(step: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    const LIMIT: Duration = Duration::from_secs(20);
    let late = |_| Err(anyhow!("the exec's process does not answer; was it stopped in the container?"));
    timeout(LIMIT, step).await.unwrap_or_else(late)
}

/// Waits until the program is executed, which closes its end of the line.
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
