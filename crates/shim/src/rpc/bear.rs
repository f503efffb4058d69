//! From a Wasm file that was found to a guest's process: what a new container and an exec share.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::{Context, Error, anyhow, bail};
use container::birth::Born;
use container::process;
use workload::{Guest, Workload};

use crate::code::Code;
use crate::daemon::Daemon;
use crate::guest_memory::GuestMemory;
use crate::nursery::Line;
use crate::payload::{BoundFd, CodeFd, GuestFiles, Order, Payload, PayloadFd, PidFd, Report};

/// What a guest's process is told and given, beside its streams.
pub struct Given<'a> {
    payload: PayloadFd<File>,
    code: CodeFd<File>,
    bound: BoundFd<File>,
    memory: &'a GuestMemory,
}

impl<'a> Given<'a> {
    /// For the guest of `code` in a container whose guests have `memory`.
    pub fn of(workload: &Workload, code: Code, memory: &'a GuestMemory) -> anyhow::Result<Self> {
        let guest = Guest::of(workload, code.world)?;
        let payload = PayloadFd::of(&Payload { workload: workload.clone(), guest })?;
        Ok(Self { payload, code: code.file, bound: memory.bound()?, memory })
    }

    /// What it is told.
    pub fn payload(&self) -> PayloadFd<BorrowedFd<'_>> {
        self.payload.borrowed()
    }

    /// What it is given.
    pub fn files(&self) -> GuestFiles<BorrowedFd<'_>> {
        GuestFiles { code: self.code.borrowed(), bound: self.bound.borrowed(), wanted: self.memory.wanted() }
    }
}

/// Lets the midwife go and returns whom it gave birth to.
pub async fn delivered(daemon: &Daemon, midwife: Born, line: &Line) -> anyhow::Result<Born> {
    let report = line.report().await;
    daemon.nursery.ended(&midwife).await.context("cannot wait for a child")?;
    match report? {
        Some(Report::Delivered(pid, PidFd(pidfd))) => {
            daemon.nursery.await_end_of(pid);
            Ok(Born { pid, pidfd })
        }
        other => bail!("the process that enters the pod's namespaces said {other:?}"),
    }
}

/// Waits until a guest is at its gate; the log tells in detail how it came there.
pub async fn at_gate(workload: &Workload, line: Line) -> anyhow::Result<Gate> {
    match line.report().await? {
        Some(Report::Ready { steps, tells }) => {
            let steps: Vec<_> = steps.iter().map(|(step, took)| format!("{step} {took}")).collect();
            log::debug!("container {}: its process, in µs: {}", workload.id, steps.join(", "));
            Ok(Gate { line, tells })
        }
        other => Err(out_of_turn(other)),
    }
}

/// Where a guest waits to be let go.
pub struct Gate {
    line: Line,
    tells: bool,
}

impl Gate {
    /// Lets the guest go, and waits for what may fail before it runs.
    pub async fn open(&self) -> anyhow::Result<()> {
        self.line.send(Order::Go).context("the container's process is gone")?;
        if self.tells {
            expect(&self.line, |report| matches!(report, Report::Done)).await?;
        }
        Ok(())
    }
}

/// Waits for a report that must come next.
pub async fn expect(line: &Line, is_it: impl Fn(&Report<OwnedFd>) -> bool) -> anyhow::Result<()> {
    match line.report().await? {
        Some(report) if is_it(&report) => Ok(()),
        other => Err(out_of_turn(other)),
    }
}

fn out_of_turn(said: Option<Report<OwnedFd>>) -> Error {
    match said {
        Some(other) => anyhow!("the container's process said {other:?} out of turn"),
        None => {
            anyhow!(
                "the container's process ended before its guest ran; was it killed, as by a seccomp profile, or out \
                 of memory, as by its limit or RLIMIT_DATA?"
            )
        }
    }
}

/// Ends and reaps a process whose making failed; passes the failure on.
pub async fn or_end<T>(daemon: &Daemon, born: &Born, made: anyhow::Result<T>) -> anyhow::Result<T> {
    if made.is_err() {
        // It may have ended by itself: then only the reaping is left.
        let _ = process::signal(&born.pidfd, libc::SIGKILL);
        let _ = daemon.nursery.ended(born).await;
    }
    made
}

/// Sets the spec's OOM score from outside, where it does not need the box's cooperation. Hosts that do
/// not let the daemon lower it run the container with what it has: it is no reason not to run.
pub fn set_oom_score(workload: &Workload, pid: i32) {
    // An exec that says nothing has its container's.
    let container = || workload.spec.process().as_ref().and_then(|process| process.oom_score_adj());
    let Some(score) = workload.process().oom_score_adj().or_else(container) else { return };
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
        log::warn!("container {}: cannot set the OOM score to {score}: {error}", workload.id);
    }
}
