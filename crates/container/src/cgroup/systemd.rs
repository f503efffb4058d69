//! A cgroup that systemd creates: a scope, requested over D-Bus, through libcgroups.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxCpu, LinuxResources};
use workload::Workload;

use super::dirs::CgroupDirs;
use crate::sentence::sentence;

/// Whether the host was booted with systemd: see sd_booted(3).
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

    /// The processes in it, in the caller's pid namespace; none if it does not exist.
    pub(super) fn pids(&self) -> Vec<i32> {
        self.unit.get_all_pids().map(|pids| pids.into_iter().map(Pid::as_raw).collect()).unwrap_or_default()
    }

    /// Creates it with the process in it.
    pub(super) fn admit(&self, pid: i32) -> anyhow::Result<()> {
        self.unit.add_task(Pid::from_raw(pid)).map_err(|error| {
            anyhow!("cannot move process {pid} into cgroup {}: {}", self.path.display(), sentence(&error))
        })
    }

    /// Sets limits, through systemd, which would otherwise undo them. CPUs and memory nodes are written to the
    /// cgroup's own files, which systemd leaves to the owner of a delegated cgroup: libcgroups passes them as 64-bit
    /// numbers where systemd expects bytes.
    pub(super) fn limit(&self, resources: &LinuxResources, dirs: &CgroupDirs) -> anyhow::Result<()> {
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
        dirs.limit(&only_cpuset(resources))
    }

    /// Kills its processes and removes it. Not an error where nothing is left.
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

/// The resources that go through systemd.
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
