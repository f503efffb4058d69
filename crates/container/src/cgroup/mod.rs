//! A container's cgroup: v1, v2 or made by systemd, through libcgroups.

mod folders;
mod oom;

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, ControllerOpt, FreezerState, create_cgroup_manager,
};
use libcontainer::utils::get_cgroup_path;
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;
use workload::Workload;

pub use folders::{Folders, Keyed, number};
pub use oom::OomNotice;

use crate::mounts::sentence;

/// The cgroup of one container, existing or not.
pub struct Cgroup {
    path: PathBuf,
    tree: AnyCgroupManager,
}

impl Cgroup {
    /// The cgroup that the spec and the options name. Nothing is made yet.
    ///
    /// # Errors
    /// When the host's cgroups cannot be read.
    pub fn of(workload: &Workload) -> anyhow::Result<Self> {
        let named = workload.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
        let path = get_cgroup_path(&named, &workload.id);
        ensure!(
            !matches!(path.to_str(), Some("" | "/")),
            "the spec's cgroup is {path:?}: a container needs one of its own"
        );
        let config = CgroupConfig {
            cgroup_path: path.clone(),
            systemd_cgroup: workload.options.systemd_cgroup,
            container_name: workload.id.clone(),
        };
        let tree = create_cgroup_manager(config)
            .map_err(|error| anyhow!("cannot read the host's cgroups: {}", sentence(&error)))?;
        Ok(Self { path, tree })
    }

    /// Checks that nobody is in the cgroup: whoever is would be limited, and killed, with the container.
    ///
    /// # Errors
    /// Names the cgroup and the processes in it.
    pub fn check_free(&self) -> anyhow::Result<()> {
        let taken = self.pids();
        ensure!(taken.is_empty(), "cgroup {} holds processes of others: {taken:?}", self.path.display());
        Ok(())
    }

    /// Makes the cgroup where it is not there, moves the process in and sets the spec's limits.
    ///
    /// # Errors
    /// Names the cgroup and what the kernel refused.
    pub fn admit(&self, pid: i32, workload: &Workload) -> anyhow::Result<()> {
        self.tree.add_task(Pid::from_raw(pid)).map_err(|error| {
            anyhow!("cannot move process {pid} into cgroup {}: {}", self.path.display(), sentence(&error))
        })?;
        match workload.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) {
            Some(resources) => self.limit(resources),
            None => Ok(()),
        }
    }

    /// Sets limits; what `resources` does not name stays as it is.
    ///
    /// # Errors
    /// Names the cgroup and what the kernel refused.
    pub fn limit(&self, resources: &LinuxResources) -> anyhow::Result<()> {
        let memory = resources.memory().as_ref();
        let limits = ControllerOpt {
            resources,
            disable_oom_killer: memory.and_then(|memory| memory.disable_oom_killer()).unwrap_or(false),
            oom_score_adj: None,
            freezer_state: None,
        };
        self.tree.apply(&limits).map_err(|error| {
            anyhow!("cannot set the limits of cgroup {}: {}", self.path.display(), sentence(&error))
        })
    }

    /// Stops every process in it, or lets them go on.
    ///
    /// # Errors
    /// When the host has no freezer, or a process would not stop.
    pub fn freeze(&self, frozen: bool) -> anyhow::Result<()> {
        let (state, verb) =
            if frozen { (FreezerState::Frozen, "freeze") } else { (FreezerState::Thawed, "thaw") };
        self.tree
            .freeze(state)
            .map_err(|error| anyhow!("cannot {verb} cgroup {}: {}", self.path.display(), sentence(&error)))
    }

    /// The processes in it, in the caller's pid namespace; none when it is not there.
    pub fn pids(&self) -> Vec<i32> {
        self.tree.get_all_pids().map(|pids| pids.into_iter().map(Pid::as_raw).collect()).unwrap_or_default()
    }

    /// Kills what is left in it and removes it. Nothing to remove is success.
    ///
    /// # Errors
    /// Names the cgroup that would not go.
    pub fn remove(&self) -> anyhow::Result<()> {
        self.kill_all();
        self.tree
            .remove()
            .map_err(|error| anyhow!("{}", sentence(&error)))
            .with_context(|| format!("cannot remove cgroup {}", self.path.display()))
    }

    /// Kills every process in it until none is born any more.
    pub fn kill_all(&self) {
        const TRIES: u32 = 50;
        for _ in 0..TRIES {
            let pids = self.pids();
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                // It may have ended by itself since.
                let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            }
            sleep(Duration::from_millis(2));
        }
    }
}
