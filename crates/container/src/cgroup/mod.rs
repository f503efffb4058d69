//! A container's cgroup: by the kernel's own files, on v1 and v2, or made by systemd, through libcgroups.
//!
//! Where systemd makes it, its folder is known once a process is in it; what needs no permission of systemd's
//! is done by files then, too.

mod devices;
mod entry;
mod files;
mod folders;
mod host;
mod limits;
mod oom;
mod systemd;
mod warm;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use oci_spec::runtime::LinuxResources;
use workload::Workload;

pub use devices::Whose;
pub use entry::{Entry, Way, go_through};
pub use folders::{Folders, Keyed, number};
pub use oom::OomNotice;
use systemd::Scope;
pub(crate) use systemd::without_cpuset;
pub use warm::warm_up;

/// The cgroup of one container, existing or not.
pub struct Cgroup {
    /// As the spec calls it.
    path: PathBuf,
    made_by: Maker,
}

enum Maker {
    Files(Folders),
    Systemd(Scope),
}

impl Cgroup {
    /// The cgroup that the spec and the options name. Nothing is made yet.
    ///
    /// # Errors
    /// When the host's cgroups cannot be read, or the container would have none of its own.
    pub fn of(workload: &Workload) -> anyhow::Result<Self> {
        let path = path_of(workload);
        let made_by = match is_by_systemd(workload) {
            true => Maker::Systemd(Scope::of(workload, &path)?),
            false => Maker::Files(Folders::at(&path)?),
        };
        Ok(Self { path, made_by })
    }

    /// Checks that nobody is in the cgroup: whoever is would be limited, and killed, with the container.
    ///
    /// # Errors
    /// Names the cgroup and the processes in it.
    pub fn check_free(&self) -> anyhow::Result<()> {
        let taken = match &self.made_by {
            Maker::Files(folders) => folders.pids(),
            Maker::Systemd(scope) => scope.pids(),
        };
        ensure!(taken.is_empty(), "cgroup {} holds processes of others: {taken:?}", self.path.display());
        Ok(())
    }

    /// Makes the cgroup of a guest where it is not there, sets the spec's limits, and says how its first process
    /// comes in. systemd makes none without a process: see [`Cgroup::admit`].
    ///
    /// # Errors
    /// Names the cgroup and what the kernel refused.
    pub fn make(&self, workload: &Workload) -> anyhow::Result<Entry> {
        match &self.made_by {
            Maker::Files(folders) => {
                folders.make()?;
                let nothing = LinuxResources::default();
                let resources = workload.resources().unwrap_or(&nothing);
                folders.limit(resources)?;
                folders.allow_devices(workload, resources, Whose::Guest)?;
                folders.first_entry()
            }
            Maker::Systemd(_) => Ok(Entry::OUTSIDE),
        }
    }

    /// Moves a guest's process in from outside, and has the cgroup made by that where systemd makes it.
    ///
    /// # Errors
    /// Names the cgroup and what the kernel refused.
    pub fn admit(&self, pid: i32, workload: &Workload) -> anyhow::Result<()> {
        match &self.made_by {
            Maker::Files(folders) => folders.admit(pid),
            Maker::Systemd(scope) => {
                scope.admit(pid)?;
                let (nothing, folders) = (LinuxResources::default(), Folders::of(pid)?);
                let resources = workload.resources().unwrap_or(&nothing);
                scope.limit(resources, &folders)?;
                folders.allow_devices(workload, resources, Whose::Guest)
            }
        }
    }

    /// Sets limits, but of devices; what `resources` does not name stays as it is. `folders` is where the cgroup is.
    ///
    /// # Errors
    /// Names the cgroup and what the kernel refused.
    pub fn limit(&self, resources: &LinuxResources, folders: &Folders) -> anyhow::Result<()> {
        match &self.made_by {
            Maker::Files(_) => folders.limit(resources),
            Maker::Systemd(scope) => scope.limit(resources, folders),
        }
    }

    /// Kills what is left in it and removes it. Nothing to remove is success.
    ///
    /// # Errors
    /// Names the cgroup that would not go.
    pub fn remove(&self) -> anyhow::Result<()> {
        match &self.made_by {
            Maker::Files(folders) => {
                folders.kill_all();
                folders.remove()
            }
            Maker::Systemd(scope) => scope.remove(),
        }
    }
}

/// Sets the limits of a Linux program that libcontainer made which libcontainer could not have set.
///
/// # Errors
/// Names the file and what the kernel said.
pub(crate) fn complete(workload: &Workload, folders: &Folders) -> anyhow::Result<()> {
    let nothing = LinuxResources::default();
    let resources = workload.resources().unwrap_or(&nothing);
    if is_by_systemd(workload) {
        folders.limit(&systemd::only_cpuset(resources))?;
    }
    folders.allow_devices(workload, resources, Whose::Program)
}

/// Where the cgroup of a living container is, whose first process is `pid`.
///
/// # Errors
/// When the process is gone and nobody else knows.
pub fn folders_of(workload: &Workload, pid: i32) -> anyhow::Result<Folders> {
    if is_by_systemd(workload) { Folders::of(pid) } else { Folders::at(&path_of(workload)) }
}

/// Whether systemd is asked to make the cgroup: in the unified hierarchy, where the options say so and the spec names no
/// path; and without a word in the options where the spec names a scope in a slice, and systemd runs here.
///
/// Docker and the kubelet name cgroups as their own driver does, and say nothing of it in the options of a runtime that
/// is not runc.
pub fn is_by_systemd(workload: &Workload) -> bool {
    let named = named(workload);
    let asked = match workload.options.systemd_cgroup {
        true => !named.is_some_and(Path::is_absolute),
        false => named.is_some_and(is_scope) && systemd::runs(),
    };
    asked && matches!(host::Host::look(), Ok(host::Host::Unified(_)))
}

/// Whether a cgroup's name can only be meant for systemd: `SLICE:PREFIX:NAME`, the slice called so or left out.
fn is_scope(named: &Path) -> bool {
    let parts: Vec<&str> = named.to_str().unwrap_or_default().split(':').collect();
    let [slice, _, name] = parts[..] else { return false };
    let is_slice = slice.is_empty() || slice.ends_with(".slice");
    is_slice && !name.is_empty() && parts.iter().all(|part| !part.contains('/'))
}

/// What the spec calls the cgroup, in full: a container that names none, or one without a beginning, has it
/// at the top.
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
