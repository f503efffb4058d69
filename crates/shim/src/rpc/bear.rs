//! From a Wasm file that was found to a guest's process: what a new container and an exec share.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Error, anyhow, bail};
use container::birth::Born;
use container::channel;
use container::process;
use workload::{Guest, Workload};

use crate::code::Code;
use crate::daemon::Daemon;
use crate::guest_memory::GuestMemory;
use crate::nursery::Line;
use crate::payload::{Order, Payload, Report, Request};

/// Gives birth to the process of a guest, in a box of its own or in one that is there. Of the request's
/// descriptors those for its `entry` into a cgroup and those `before` the code are the caller's.
pub async fn guest(
    daemon: &Daemon,
    request: &Request,
    workload: &Workload,
    code: Code,
    memory: &GuestMemory,
    (entry, before): (&[OwnedFd], &[BorrowedFd<'_>]),
) -> anyhow::Result<(Born, Line)> {
    let guest = Guest::of(workload, code.world)?;
    let payload = Payload { workload: workload.clone(), guest: Some(guest) };
    let payload = channel::sealed_json("workload", &payload)?;
    let bound = memory.bound()?;
    let after = [code.file.as_fd(), bound.as_fd(), memory.wanted()];
    let first = entry.iter().map(AsFd::as_fd).chain([payload.as_fd()]);
    let fds: Vec<_> = first.chain(before.iter().copied()).chain(after).collect();
    daemon.nursery.birth(request, &fds).await
}

/// Lets the midwife go and returns whom it gave birth to.
pub async fn delivered(daemon: &Daemon, midwife: Born, line: &Line) -> anyhow::Result<Born> {
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

/// Waits until a guest is at its gate; the log tells in detail how it came there.
pub async fn at_gate(workload: &Workload, line: Line) -> anyhow::Result<Gate> {
    match line.report().await? {
        Some((Report::Ready { steps, tells }, _)) => {
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
        self.line.send(&Order::Go, &[]).context("the container's process is gone")?;
        if self.tells {
            expect(&self.line, |report| matches!(report, Report::Done)).await?;
        }
        Ok(())
    }
}

/// Waits for a report that must come next.
pub async fn expect(line: &Line, is_it: impl Fn(&Report) -> bool) -> anyhow::Result<()> {
    match line.report().await? {
        Some((report, _)) if is_it(&report) => Ok(()),
        other => Err(out_of_turn(other)),
    }
}

fn out_of_turn(said: Option<(Report, Vec<OwnedFd>)>) -> Error {
    match said {
        Some((other, _)) => anyhow!("the container's process said {other:?} out of turn"),
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
