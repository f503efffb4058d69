//! OCI hooks, run by libcontainer: each once, in order, with the container's state on stdin.

use std::path::Path;

use anyhow::anyhow;
use libcontainer::container::{ContainerStatus, State};
use nix::unistd::Pid;
use oci_spec::runtime::{Hook, Hooks, Spec};
use serde::{Deserialize, Serialize};
use workload::Workload;

use crate::mounts::sentence;

/// The moments at which hooks run in the runtime's own namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// Namespaces are there, the root is not yet: `prestart`, then `createRuntime`.
    Created,
    /// The guest's code has been let go: `poststart`.
    Started,
    /// The container is gone: `poststop`.
    Stopped,
}

/// Whether the spec has hooks for `moment`, so that nothing is forked for none.
pub fn any(spec: &Spec, moment: Moment) -> bool {
    spec.hooks().as_ref().is_some_and(|hooks| lists(hooks, moment).iter().any(|list| !list.is_empty()))
}

/// Runs the hooks of `moment` for the container whose first process is `pid`. Blocks until the last
/// has ended: for a process of its own.
///
/// # Errors
/// A sentence that names the moment; hooks after the one that failed are not run.
pub fn run(workload: &Workload, moment: Moment, pid: i32) -> anyhow::Result<()> {
    let status = match moment {
        Moment::Created => ContainerStatus::Creating,
        Moment::Started => ContainerStatus::Running,
        Moment::Stopped => ContainerStatus::Stopped,
    };
    let Some(hooks) = workload.spec.hooks() else { return Ok(()) };
    for list in lists(hooks, moment) {
        run_list(workload, list, status, pid).map_err(|error| anyhow!("a hook ({moment:?}) failed: {error}"))?;
    }
    Ok(())
}

/// Runs the `createContainer` hooks, in the container's namespaces before its root is changed.
///
/// # Errors
/// A sentence with the hook's end.
pub(crate) fn create_container(workload: &Workload) -> anyhow::Result<()> {
    let hooks = workload.spec.hooks().as_ref().and_then(|hooks| hooks.create_container().as_ref());
    let list = hooks.map_or(&[][..], Vec::as_slice);
    let pid = std::process::id().cast_signed();
    run_list(workload, list, ContainerStatus::Creating, pid)
        .map_err(|error| anyhow!("a createContainer hook failed: {error}"))
}

fn lists(hooks: &Hooks, moment: Moment) -> Vec<&[Hook]> {
    match moment {
        Moment::Created => {
            let prestart = hooks.prestart();
            vec![prestart.as_deref().unwrap_or_default(), hooks.create_runtime().as_deref().unwrap_or_default()]
        }
        Moment::Started => vec![hooks.poststart().as_deref().unwrap_or_default()],
        Moment::Stopped => vec![hooks.poststop().as_deref().unwrap_or_default()],
    }
}

fn run_list(workload: &Workload, list: &[Hook], status: ContainerStatus, pid: i32) -> Result<(), String> {
    if list.is_empty() {
        return Ok(());
    }
    let mut state = State::new(&workload.id, status, Some(pid), workload.bundle.clone());
    state.annotations = Some(workload.annotations());
    libcontainer::hooks::run_hooks(
        Some(&list.to_vec()),
        Some(&state),
        None::<&Path>,
        Some(Pid::from_raw(pid)),
        None,
    )
    .map_err(|error| sentence(&error))
}
