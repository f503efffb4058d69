//! A cgroup that systemd makes: a scope, asked for over D-Bus, through libcgroups.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxCpu, LinuxResources};
use workload::Workload;

use super::folders::Folders;
use crate::sentence::sentence;

/// Whether systemd is what the host was booted with: see sd_booted(3).
pub(super) fn runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A scope, existing or not.
pub(super) struct Scope {
    path: PathBuf,
    unit: AnyCgroupManager,
}

impl Scope {
    pub(super) fn of(workload: &Workload, path: &Path) -> anyhow::Result<Self> {
        let config = CgroupConfig {
            cgroup_path: path.to_owned(),
            systemd_cgroup: true,
            container_name: workload.id.clone(),
        };
        let unit = create_cgroup_manager(config)
            .map_err(|error| anyhow!("cannot ask systemd for a cgroup: {}", sentence(&error)))?;
        Ok(Self { path: path.to_owned(), unit })
    }

    /// The processes in it, in the caller's pid namespace; none when it is not there.
    pub(super) fn pids(&self) -> Vec<i32> {
        self.unit.get_all_pids().map(|pids| pids.into_iter().map(Pid::as_raw).collect()).unwrap_or_default()
    }

    /// Makes it with the process in it.
    pub(super) fn admit(&self, pid: i32) -> anyhow::Result<()> {
        self.unit.add_task(Pid::from_raw(pid)).map_err(|error| {
            anyhow!("cannot move process {pid} into cgroup {}: {}", self.path.display(), sentence(&error))
        })
    }

    /// Sets limits: systemd is told of them, or it would undo them. But for the CPUs and memory nodes, of
    /// which libcgroups tells it in numbers of 64 bits where it wants bytes: those are written to the cgroup's
    /// own files, which systemd leaves to whoever asked for a delegated cgroup.
    pub(super) fn limit(&self, resources: &LinuxResources, folders: &Folders) -> anyhow::Result<()> {
        let memory = resources.memory().as_ref();
        let limits = ControllerOpt {
            resources: &without_cpuset(resources),
            disable_oom_killer: memory.and_then(|memory| memory.disable_oom_killer()).unwrap_or(false),
            oom_score_adj: None,
            freezer_state: None,
        };
        self.unit.apply(&limits).map_err(|error| {
            anyhow!("cannot set the limits of cgroup {}: {}", self.path.display(), sentence(&error))
        })?;
        folders.limit(&only_cpuset(resources))
    }

    /// Kills what is left in it and removes it. Nothing to remove is success.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        for pid in self.pids() {
            // It may have ended by itself since.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.unit
            .remove()
            .map_err(|error| anyhow!("{}", sentence(&error)))
            .with_context(|| format!("cannot remove cgroup {}", self.path.display()))
    }
}

/// The resources as systemd may be told of them.
pub(crate) fn without_cpuset(resources: &LinuxResources) -> LinuxResources {
    let mut resources = resources.clone();
    if let Some(cpu) = resources.cpu_mut() {
        cpu.set_cpus(None).set_mems(None);
    }
    resources
}

/// What [`without_cpuset`] leaves out.
pub(super) fn only_cpuset(resources: &LinuxResources) -> LinuxResources {
    let mut only = LinuxResources::default();
    if let Some(cpu) = resources.cpu() {
        let mut set = LinuxCpu::default();
        set.set_cpus(cpu.cpus().clone()).set_mems(cpu.mems().clone());
        only.set_cpu(Some(set));
    }
    only
}
