//! Launches a Wasm container: from its Wasm file to the guest at its gate.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use container::birth::Born;
use container::cgroup::{Cgroup, Entry, EntryMode};
use container::channel;
use container::hooks::Moment;
use container::layers::Layers;
use container::mounts::Trees;
use container::namespaces::Namespaces;
use container::process::Identity;
use container::source::Source;
use tokio::sync::Notify;
use workload::Workload;

use super::birth::{GuestInputs, set_oom_score};
use super::code::{self, Fresh, GuestCode};
use crate::blocking::blocking;
use crate::guest_memory::GuestMemory;
use crate::nursery::{Gate, Line, Nursery};
use crate::payload::{Entrance, NewGuest, NurseryRequest, Order, Report};
use crate::record::Record;
use crate::streams::{Opened, Streams};
use crate::task::Kind;

/// Compiles the Wasm while the streams are opened, unless `given_up` resolves before; spawns the guest's process, and
/// brings the guest to its gate.
pub async fn make(
    nursery: &Nursery,
    workload: &Workload,
    namespaces: &Namespaces,
    (source, layers): (Source, Layers),
    (opened, given_up): (impl Future<Output = anyhow::Result<Opened>>, impl Future<Output = ()>),
    record: &mut Record,
) -> anyhow::Result<(Kind, Born, Streams)> {
    let owned = Arc::new(workload.clone());
    let (looked, made) = (Arc::clone(&owned), Arc::clone(&owned));
    let cgroup = blocking(move || {
        let cgroup = Cgroup::of(&looked)?;
        cgroup.check_free()?;
        Ok(Arc::new(cgroup))
    });
    let cgroup = cgroup.await?;
    record.entered = true;
    record.write(&workload.bundle)?;
    let entered = Arc::clone(&cgroup);
    // Both run to their end: the caller undoes a failure, and nothing may be made after that.
    let (entry, prepared) = tokio::join!(
        blocking(move || entered.make(&made)),
        prepare(nursery, workload, source, opened, given_up)
    );
    let (entry, (opened, (code, fresh))) = (entry?, prepared?);
    let memory = GuestMemory::new(workload.memory_limit())?;
    let asked = Instant::now();
    let inputs = GuestInputs::of(workload, code, &memory)?;
    let (born, line) = give_birth(nursery, namespaces, &entry, &opened, &inputs).await?;
    drop(inputs);
    log::debug!("container {}: born {:?} after it was asked for", workload.id, asked.elapsed());
    let outside = (entry.mode == EntryMode::FromOutside).then_some((cgroup, owned));
    let brought = bring_to_gate(nursery, workload, namespaces, outside, &born, line, record).await;
    let gate = nursery.or_end(&born, brought).await?;
    log::debug!("container {}: at its gate {:?} after it was asked for", workload.id, asked.elapsed());
    if let Some(fresh) = fresh {
        fresh.keep();
    }
    Ok((Kind::Wasm { gate, memory, layers }, born, opened.streams))
}

/// Finds or compiles the code while the streams are opened. A failure to open them cancels the compiler.
async fn prepare(
    nursery: &Nursery,
    workload: &Workload,
    source: Source,
    opened: impl Future<Output = anyhow::Result<Opened>>,
    given_up: impl Future<Output = ()>,
) -> anyhow::Result<(Opened, (GuestCode, Option<Fresh>))> {
    let without_streams = Notify::new();
    let opened = async {
        let opened = opened.await;
        if opened.is_err() {
            without_streams.notify_one();
        }
        opened
    };
    let cancelled = async {
        tokio::select! {
            () = given_up => {}
            () = without_streams.notified() => {}
        }
    };
    let (opened, code) = tokio::join!(opened, code::of(nursery, workload, source, cancelled));
    Ok((opened?, code?))
}

async fn give_birth(
    nursery: &Nursery,
    namespaces: &Namespaces,
    entry: &Entry,
    opened: &Opened,
    inputs: &GuestInputs<'_>,
) -> anyhow::Result<(Born, Line)> {
    let joined = namespaces.open()?;
    let request = NurseryRequest::Wasm(NewGuest {
        namespaces: namespaces.clone(),
        joined: joined.iter().map(AsFd::as_fd).collect(),
        cgroup: Entrance::of(entry)?,
        payload: inputs.payload(),
        stdio: opened.process.borrowed(),
        files: inputs.files(),
    });
    let (born, line) = nursery.birth(request).await?;
    let born = if namespaces.need_midwife() { nursery.delivered(born, &line).await? } else { born };
    Ok((born, line))
}

/// Does what the box needs from outside, such as id maps and hooks, and waits until the guest is loaded.
async fn bring_to_gate(
    nursery: &Nursery,
    workload: &Workload,
    namespaces: &Namespaces,
    outside: Option<(Arc<Cgroup>, Arc<Workload>)>,
    born: &Born,
    line: Line,
    record: &mut Record,
) -> anyhow::Result<Gate> {
    record.process = Identity::of(born.pid).ok();
    record.write(&workload.bundle)?;
    line.expect(|report| matches!(report, Report::Joined)).await?;
    let joined = Instant::now();
    if let Some((cgroup, admitted)) = outside {
        let pid = born.pid;
        blocking(move || cgroup.admit(pid, &admitted)).await?;
    }
    set_oom_score(&workload.id, workload.process().oom_score_adj(), born.pid);
    if namespaces.new_user() {
        namespaces.map_ids(&workload.spec, born.pid)?;
    }
    nursery.run_hooks(workload, Moment::Created, born.pid).await?;
    log::debug!("container {}: cgroup and hooks took {:?}", workload.id, joined.elapsed());
    let trees = Trees::open(workload)?.into_fds();
    let trees: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
    let some = trees.chunks(channel::MAX_FDS).map(|some| Order::Take(some.to_vec()));
    some.chain([Order::Enter])
        .try_for_each(|order| line.send(order))
        .context("the container's process is gone")?;
    Gate::reached(workload, line).await
}
