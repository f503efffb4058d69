//! Launches a Linux container: libcontainer makes it, in an errand.

use std::sync::Arc;

use anyhow::{Context, bail};
use container::birth::Born;
use container::cgroup::{self, Cgroup};
use container::process::{self, Identity};
use workload::Workload;

use crate::blocking::{blocking, detached};
use crate::nursery::Nursery;
use crate::payload::{NurseryRequest, Report, TerminalFd, WorkloadFd};
use crate::record::{self, Record};
use crate::streams::{Opened, Streams};
use crate::task::Kind;

/// Makes the container with its first process, which waits to be started.
pub async fn make(
    nursery: &Arc<Nursery>,
    workload: &Workload,
    opened: impl Future<Output = anyhow::Result<Opened>>,
    record: &mut Record,
) -> anyhow::Result<(Kind, Born, Streams)> {
    // Warms up the slow last step while the others run.
    if let Err(error) = detached(cgroup::warm_up) {
        log::debug!("cannot make a thread: {error}");
    }
    let opened = opened.await?;
    let owned = workload.clone();
    blocking(move || Cgroup::of(&owned)?.check_free()).await?;
    record.entered = true;
    record.write(&workload.bundle)?;
    // If this daemon is killed, `delete` waits until no process holds the lock any more.
    let note = record::hold(&workload.bundle)?;
    let described = WorkloadFd::of(workload)?;
    let request = NurseryRequest::NativeCreate {
        workload: described.borrowed(),
        stdio: opened.process.borrowed(),
        note: note.borrowed(),
    };
    let report = nursery.errand(request).await?;
    let Report::Created(pid, terminal) = report else {
        bail!("the process that makes native containers said {report:?}")
    };
    // It is our child, so its pid is not reused until we reap it.
    let born = Born { pid, pidfd: process::open(pid).context("the container's process ended at once")? };
    record.process = Identity::of(born.pid).ok();
    nursery.or_end(&born, record.write(&workload.bundle)).await?;
    let streams = match terminal {
        Some(TerminalFd(terminal)) => opened.with_terminal(workload, terminal),
        None => Ok(opened.streams),
    };
    let streams = nursery.or_end(&born, streams).await?;
    Ok((Kind::Native, born, streams))
}
