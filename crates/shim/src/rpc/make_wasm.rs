//! A Wasm container from the file that was found to the guest at its gate.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use container::birth::Born;
use container::cgroup::{Cgroup, Way};
use container::channel;
use container::entrypoint::Found;
use container::hooks::Moment;
use container::layers::Layers;
use container::mounts::Trees;
use container::namespaces::Namespaces;
use container::process::Identity;
use container::stdio::Paths;
use workload::Workload;

use super::bear::{Gate, Given, at_gate, delivered, expect, or_end, set_oom_score};
use super::hooks::run_hooks;
use crate::apart::apart;
use crate::code;
use crate::daemon::Daemon;
use crate::guest_memory::GuestMemory;
use crate::nursery::Line;
use crate::payload::{Entrance, NewGuest, Order, Report, Request};
use crate::record::Record;
use crate::streams::{self, Streams};
use crate::task::Kind;

/// Compiles, gives birth, and brings the guest to its gate.
pub async fn make_wasm(
    daemon: &Arc<Daemon>,
    workload: &Workload,
    found: Found,
    layers: Layers,
    paths: &Paths,
    record: &mut Record,
) -> anyhow::Result<(Kind, Born, Streams)> {
    let cgroup = Arc::new(Cgroup::of(workload)?);
    cgroup.check_free()?;
    record.entered = true;
    record.write(&workload.bundle)?;
    let (made, limits) = (Arc::clone(&cgroup), workload.clone());
    let prepared = async {
        let opened = streams::open(daemon, workload, paths).await?;
        anyhow::Ok((
            opened,
            code::of(daemon, workload, found, &layers, daemon.tasks.given_up(&workload.id)).await?,
        ))
    };
    // Both to their end: what fails is undone, and nothing may be made any more by then.
    let (entry, prepared) = tokio::join!(apart(move || made.make(&limits)), prepared);
    let entry = entry?;
    let (opened, (code, fresh)) = prepared?;
    let memory = GuestMemory::new(workload.memory_limit())?;
    let namespaces = Namespaces::of(&workload.spec);
    let asked = Instant::now();
    let joined = namespaces.open()?;
    let given = Given::of(workload, code, &memory)?;
    let request = Request::Wasm(NewGuest {
        namespaces: namespaces.clone(),
        joined: joined.iter().map(AsFd::as_fd).collect(),
        cgroup: Entrance::of(&entry)?,
        payload: given.payload(),
        stdio: opened.process.borrowed(),
        files: given.files(),
    });
    let (born, line) = daemon.nursery.birth(request).await?;
    drop(given);
    log::debug!("container {}: born {:?} after it was asked for", workload.id, asked.elapsed());
    let born = if namespaces.need_midwife() { delivered(daemon, born, &line).await? } else { born };
    let outside = (entry.way == Way::Outside).then_some(cgroup);
    let brought = bring_to_gate(daemon, workload, &namespaces, outside, &born, line, record).await;
    let gate = or_end(daemon, &born, brought).await?;
    log::debug!("container {}: at its gate {:?} after it was asked for", workload.id, asked.elapsed());
    if let Some(fresh) = fresh {
        fresh.keep();
    }
    Ok((Kind::Wasm { gate, memory, layers }, born, opened.streams))
}

/// Does outside what the box needs from outside, and waits until the guest is loaded.
async fn bring_to_gate(
    daemon: &Daemon,
    workload: &Workload,
    namespaces: &Namespaces,
    cgroup: Option<Arc<Cgroup>>,
    born: &Born,
    line: Line,
    record: &mut Record,
) -> anyhow::Result<Gate> {
    record.process = Identity::of(born.pid).ok();
    record.write(&workload.bundle)?;
    expect(&line, |report| matches!(report, Report::Joined)).await?;
    let joined = Instant::now();
    if let Some(cgroup) = cgroup {
        let (pid, admitted) = (born.pid, workload.clone());
        apart(move || cgroup.admit(pid, &admitted)).await?;
    }
    set_oom_score(workload, born.pid);
    if namespaces.new_user() {
        namespaces.map_ids(&workload.spec, born.pid)?;
    }
    run_hooks(daemon, workload, Moment::Created, born.pid).await?;
    log::debug!("container {}: cgroup and hooks took {:?}", workload.id, joined.elapsed());
    let trees = Trees::open(workload)?.into_fds();
    let trees: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
    let some = trees.chunks(channel::MOST_FDS).map(|some| Order::Take(some.to_vec()));
    some.chain([Order::Enter])
        .try_for_each(|order| line.send(order))
        .context("the container's process is gone")?;
    at_gate(workload, line).await
}
