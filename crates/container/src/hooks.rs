//! OCI hooks, run by libcontainer: each once, in order, with the container's state on stdin.

use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{anyhow, bail};
use libcontainer::container::{ContainerStatus, State};
use nix::unistd::Pid;
use oci_spec::runtime::{Hook, Hooks, Spec};
use serde::{Deserialize, Serialize};
use workload::Workload;

use crate::birth;
use crate::channel::Channel;
use crate::sentence::sentence;
use crate::{privileges, profile};

/// The moments at which hooks run in the runtime's own namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// The namespaces exist, the root does not yet: `prestart`, then `createRuntime`.
    Created,
    /// The guest's code runs: `poststart`.
    Started,
    /// The container is gone: `poststop`.
    Stopped,
}

/// Whether the spec has hooks for `moment`; without any, no process is forked.
pub fn any(spec: &Spec, moment: Moment) -> bool {
    spec.hooks().as_ref().is_some_and(|hooks| lists(hooks, moment).iter().any(|list| !list.is_empty()))
}

/// Runs the hooks of `moment` for the container whose first process is `pid`. Blocks until the last one has ended, so
/// it needs a process of its own.
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
        run_list(workload, list, status, pid)
            .map_err(|error| anyhow!("a hook ({moment:?}) failed: {error}"))?;
    }
    Ok(())
}

/// Runs the `createContainer` hooks, in the container's namespaces before its root is changed.
///
/// # Errors
/// A sentence about how the hook ended.
pub(crate) fn create_container(workload: &Workload) -> anyhow::Result<()> {
    let hooks = workload.spec.hooks().as_ref().and_then(|hooks| hooks.create_container().as_ref());
    let list = hooks.map_or(&[][..], Vec::as_slice);
    let pid = std::process::id().cast_signed();
    run_list(workload, list, ContainerStatus::Creating, pid)
        .map_err(|error| anyhow!("a createContainer hook failed: {error}"))
}

/// A process that can still execute files: it runs the `startContainer` hooks in the container, as the guest's user,
/// when the guest's own process no longer can. It ends after its last hook, or with the guest's process.
#[derive(Debug)]
pub struct Starter(Channel);

/// Forks the process for the `startContainer` hooks, if there are any. Must run in the finished box, before
/// privileges are dropped.
///
/// # Errors
/// When no process can be forked.
pub(crate) fn prepare_start(workload: &Workload) -> anyhow::Result<Option<Starter>> {
    let hooks = workload.spec.hooks().as_ref().and_then(|hooks| hooks.start_container().as_ref());
    let Some(list) = hooks.filter(|list| !list.is_empty()) else { return Ok(None) };
    let (guest, starter) = Channel::pair()?;
    let pid = std::process::id().cast_signed();
    if birth::child()?.is_none() {
        birth::close_all_but(&[starter.as_raw_fd()]);
        // A hook's file comes from the image: it gets no more privileges than the guest.
        let dropped =
            privileges::drop_to(workload.process()).and_then(|()| profile::narrow_program(workload));
        let dropped = dropped.map_err(|error| format!("{error:#}"));
        if let Ok(Some(((), _))) = starter.receive() {
            let outcome = dropped.and_then(|()| run_list(workload, list, ContainerStatus::Created, pid));
            // Fails only when the guest's process is gone.
            let _ = starter.send(&outcome.err(), &[]);
        }
        birth::exit_now(0);
    }
    Ok(Some(Starter(guest)))
}

impl Starter {
    /// Runs the hooks and waits for the last one to end.
    ///
    /// # Errors
    /// A sentence about how the hook ended.
    pub fn run(self) -> anyhow::Result<()> {
        self.0.send(&(), &[])?;
        match self.0.receive()? {
            Some((None, _)) => Ok(()),
            Some((Some::<String>(sentence), _)) => bail!("a startContainer hook failed: {sentence}"),
            None => bail!("the process that runs the startContainer hooks is gone"),
        }
    }
}

fn lists(hooks: &Hooks, moment: Moment) -> Vec<&[Hook]> {
    match moment {
        Moment::Created => {
            let prestart = hooks.prestart();
            vec![
                prestart.as_deref().unwrap_or_default(),
                hooks.create_runtime().as_deref().unwrap_or_default(),
            ]
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
