//! A container's cgroup: managed by the kernel's own files, on v1 and v2, or by systemd, through libcgroups.
//!
//! Where systemd creates it, its directory is known once it holds a process; from then on, all that needs no
//! permission of systemd goes through files, too.

mod devices;
mod dirs;
mod entry;
mod files;
mod host;
mod limits;
mod oom;
mod systemd;
mod warm;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use oci_spec::runtime::LinuxResources;
use workload::Workload;

pub use devices::DevicePolicy;
pub use dirs::{CgroupDirs, Keyed, number};
pub use entry::{Entry, EntryMode, move_self};
pub use oom::OomNotice;
use systemd::Scope;
pub(crate) use systemd::without_cpuset;
pub use warm::warm_up;

/// The cgroup of one container, existing or not.
pub struct Cgroup {
    /// Its name in the spec.
    path: PathBuf,
    made_by: Maker,
}

enum Maker {
    Files(CgroupDirs),
    Systemd(Scope),
}

impl Cgroup {
    /// The cgroup that the spec and the options name. Creates nothing.
    ///
    /// # Errors
    /// When the host's cgroups cannot be read, or the container would have none of its own.
    pub fn of(workload: &Workload) -> anyhow::Result<Self> {
        let path = path_of(workload);
        let made_by = match is_by_systemd(workload) {
            true => Maker::Systemd(Scope::of(workload, &path)?),
            false => Maker::Files(CgroupDirs::at(&path)?),
        };
        Ok(Self { path, made_by })
    }

    /// Checks that the cgroup is empty: processes in it would be limited, and killed, with the container.
    ///
    /// # Errors
    /// Names the cgroup and the processes in it.
    pub fn check_free(&self) -> anyhow::Result<()> {
        let taken = match &self.made_by {
            Maker::Files(dirs) => dirs.pids(),
            Maker::Systemd(scope) => scope.pids(),
        };
        ensure!(taken.is_empty(), "cgroup {} holds processes of others: {taken:?}", self.path.display());
        Ok(())
    }

    /// Creates a guest's cgroup if it is missing, sets the spec's limits, and returns the entry for its first
    /// process. systemd creates none without a process: see [`Cgroup::admit`].
    ///
    /// # Errors
    /// Names the cgroup and what the kernel refused.
    pub fn make(&self, workload: &Workload) -> anyhow::Result<Entry> {
        match &self.made_by {
            Maker::Files(dirs) => {
                dirs.make()?;
                let nothing = LinuxResources::default();
                let resources = workload.resources().unwrap_or(&nothing);
                dirs.limit(resources)?;
                dirs.allow_devices(workload, resources, DevicePolicy::Guest)?;
                dirs.first_entry()
            }
            Maker::Systemd(_) => Ok(Entry::OUTSIDE),
        }
    }

    /// Moves a guest's process into the cgroup. Where systemd creates cgroups, this creates it.
    ///
    /// # Errors
    /// Names the cgroup and what the kernel refused.
    pub fn admit(&self, pid: i32, workload: &Workload) -> anyhow::Result<()> {
        match &self.made_by {
            Maker::Files(dirs) => dirs.admit(pid),
            Maker::Systemd(scope) => {
                scope.admit(pid)?;
                let (nothing, dirs) = (LinuxResources::default(), CgroupDirs::of(pid)?);
                let resources = workload.resources().unwrap_or(&nothing);
                scope.limit(resources, &dirs)?;
                dirs.allow_devices(workload, resources, DevicePolicy::Guest)
            }
        }
    }

    /// Sets limits, except those of devices; what `resources` does not name stays as it is. `dirs` are the cgroup's.
    ///
    /// # Errors
    /// Names the cgroup and what the kernel refused.
    pub fn limit(&self, resources: &LinuxResources, dirs: &CgroupDirs) -> anyhow::Result<()> {
        match &self.made_by {
            Maker::Files(_) => dirs.limit(resources),
            Maker::Systemd(scope) => scope.limit(resources, dirs),
        }
    }

    /// Kills its processes and removes it. Not an error where nothing is left.
    ///
    /// # Errors
    /// Names the cgroup that cannot be removed.
    pub fn remove(&self) -> anyhow::Result<()> {
        match &self.made_by {
            Maker::Files(dirs) => {
                dirs.kill_all();
                dirs.remove()
            }
            Maker::Systemd(scope) => scope.remove(),
        }
    }
}

/// Sets the limits of a Linux container that libcontainer could not have set.
///
/// # Errors
/// Names the file and the kernel's error.
pub(crate) fn complete(workload: &Workload, dirs: &CgroupDirs) -> anyhow::Result<()> {
    let nothing = LinuxResources::default();
    let resources = workload.resources().unwrap_or(&nothing);
    if is_by_systemd(workload) {
        dirs.limit(&systemd::only_cpuset(resources))?;
    }
    dirs.allow_devices(workload, resources, DevicePolicy::Program)
}

/// The directories of the cgroup of a running container, whose first process is `pid`.
///
/// # Errors
/// When they can only be read from the process, and it is gone.
pub fn dirs_of(workload: &Workload, pid: i32) -> anyhow::Result<CgroupDirs> {
    if is_by_systemd(workload) { CgroupDirs::of(pid) } else { CgroupDirs::at(&path_of(workload)) }
}

/// Whether systemd creates the cgroup: on the unified hierarchy, if the options ask for it and the spec does not name
/// an absolute path; or, without such an option, if the spec names a scope in a slice and systemd runs here.
///
/// Docker and the kubelet name cgroups by their own driver, and do not mention it in the options of a runtime other
/// than runc.
pub fn is_by_systemd(workload: &Workload) -> bool {
    let named = named(workload);
    let asked = match workload.options.systemd_cgroup {
        true => !named.is_some_and(Path::is_absolute),
        false => named.is_some_and(is_scope) && systemd::runs(),
    };
    asked && matches!(host::Hierarchies::detect(), Ok(host::Hierarchies::Unified(_)))
}

/// Whether a cgroup's name can only be systemd's: `SLICE:PREFIX:NAME`, with a slice or an empty one.
fn is_scope(named: &Path) -> bool {
    let parts: Vec<&str> = named.to_str().unwrap_or_default().split(':').collect();
    let [slice, _, name] = parts[..] else { return false };
    let is_slice = slice.is_empty() || slice.ends_with(".slice");
    is_slice && !name.is_empty() && parts.iter().all(|part| !part.contains('/'))
}

/// The full name of the cgroup. Without systemd, the default is `/lighter/ID`, and a relative name begins at the root.
pub(crate) fn path_of(workload: &Workload) -> PathBuf {
    match (named(workload), is_by_systemd(workload)) {
        (Some(path), true) => path.into(),
        (None, true) => format!(":lighter:{}", workload.id).into(),
        (Some(path), false) => Path::new("/").join(path),
        (None, false) => Path::new("/lighter").join(&workload.id),
    }
}

fn named(workload: &Workload) -> Option<&Path> {
    let path = workload.spec.linux().as_ref()?.cgroups_path().as_deref();
    path.filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scopes_name_is_no_path() {
        let check = |named: &str, is: bool| assert_eq!(is_scope(Path::new(named)), is, "{named}");
        check("system.slice:docker:0123456789ab", true);
        check(":docker:0123456789ab", true);
        check("kubepods-besteffort-pod12.slice:cri-containerd:c", true);
        check("-.slice::c", true);
        check("/docker/0123456789ab", false);
        check("docker/0123456789ab", false);
        check("/system.slice:docker:c", false);
        check("system.slice:docker:", false);
        check("system.slice:docker", false);
        check("machine:docker:c", false);
        check("a.slice:b:c:d", false);
        check("system.slice:docker:../c", false);
        check("", false);
    }
}
