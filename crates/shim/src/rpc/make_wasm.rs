//! A Wasm container from the file that was found to the guest at its gate.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use anyhow::{Context, bail};
use container::birth::Born;
use container::cgroup::Cgroup;
use container::channel;
use container::hooks::Moment;
use container::namespaces::Namespaces;
use container::process::{self, Identity};
use container::rootfs::Found;
use workload::{Guest, Workload, World};

use super::hooks::run_hooks;
use crate::daemon::Daemon;
use crate::nursery::Line;
use crate::payload::{Order, Report, Request, WasmPayload};
use crate::record::Record;

/// Compiles, gives birth, and brings the guest to its gate. Returns the line by which it is let go.
pub async fn make_wasm(
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
async fn compile(daemon: &Daemon, workload: &Workload, found: Found) -> anyhow::Result<(World, File)> {
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
