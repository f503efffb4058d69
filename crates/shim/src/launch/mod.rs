//! Launches a container: from its workload to a process at its gate.

mod birth;
mod code;
mod compiling;
pub mod exec;
mod guest;
mod program;

use std::borrow::Cow;

use anyhow::bail;
use container::cgroup;
use container::layers::Layers;
use container::namespaces::Namespaces;
use container::rootfs::{self, Snapshot};
use container::source::Source;
use container::stdio::Paths;
use containerd_shim_protos::api::Mount;
use workload::{Role, Workload};

use crate::blocking::blocking;
use crate::record::{Record, SNAPSHOT};
use crate::streams::{self, Launcher};
use crate::task::{Process, Task, Tasks};

/// Makes the container of `workload` with its root from `mounts`, unless the Create is cancelled in `tasks`. Every step
/// is recorded in `record`.
///
/// # Errors
/// A sentence for the user. The caller must take down what was begun.
pub async fn container(
    launcher: Launcher<'_>,
    tasks: &Tasks,
    workload: &Workload,
    mounts: &[Mount],
    paths: Paths,
    record: &mut Record,
) -> anyhow::Result<Task> {
    let bundle = &workload.bundle;
    // The record is written before each step, so that `delete` finds it whenever the daemon is killed.
    record.mounted = !mounts.is_empty();
    record.write(bundle)?;
    let target = bundle.join(SNAPSHOT);
    let mut layers = Layers::none_at(&target);
    for Mount { type_: kind, source, options, .. } in mounts {
        let snapshot = Snapshot { kind, source, options };
        layers = layers.and_of(&snapshot);
        rootfs::mount_snapshot(snapshot, &target)?;
    }
    rootfs::check_mount_sources(workload)?;
    let (workload, wasm) = match workload.role() {
        Role::Sandbox => (Cow::Borrowed(workload), None),
        Role::Application => entrypoint(tasks, workload, &layers).await?,
    };
    let workload = workload.as_ref();
    if wasm.is_none() && workload.role() == Role::Application && !workload.allows_programs() {
        bail!(
            "cannot run {:?}: it is a Linux program, and the runtime's option LinuxPrograms denies those: \
             here only Wasm runs",
            workload.entrypoint.path
        );
    }
    record.native = wasm.is_none();
    let namespaces = Namespaces::of(&workload.spec);
    let (kind, born, streams) = match wasm {
        Some(source) => {
            let opened = streams::open(launcher, workload, &paths);
            let given_up = tasks.given_up(&workload.id);
            guest::make(launcher.nursery, workload, &namespaces, (source, layers), (opened, given_up), record)
                .await?
        }
        None => {
            let opened = streams::open_ends(launcher, workload, &paths);
            program::make(launcher.nursery, workload, opened, record).await?
        }
    };
    let (pid, owned) = (born.pid, workload.clone());
    let found = blocking(move || Ok((cgroup::dirs_of(&owned, pid)?, owned))).await;
    let (cgroup, workload) = launcher.nursery.or_end(&born, found).await?;
    let first = Process::requested(String::new(), workload, paths);
    first.is_born(born, streams);
    Ok(Task::new(record.clone(), kind, cgroup, namespaces, first))
}

/// Finds the entrypoint: the workload, and its file if that is Wasm. For a guest, an init in front of it is skipped.
async fn entrypoint<'a>(
    tasks: &Tasks,
    workload: &'a Workload,
    layers: &Layers,
) -> anyhow::Result<(Cow<'a, Workload>, Option<Source>)> {
    let given_up = || tasks.given_up(&workload.id);
    if let Some(behind) = workload.behind_init()
        // If the file is missing, the init reports that, as it does in any other container.
        && let Ok(found) = code::entrypoint(&behind, layers, given_up()).await
        && found.format.is_wasm()
    {
        return Ok((Cow::Owned(behind), Some(found)));
    }
    let found = code::entrypoint(workload, layers, given_up()).await?;
    Ok((Cow::Borrowed(workload), Some(found).filter(|found| found.format.is_wasm())))
}
