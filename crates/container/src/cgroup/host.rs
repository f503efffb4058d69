//! Which cgroup hierarchies the host has, and where. Asked of the folder where all of them are by convention,
//! never of the mount table, which grows with the node.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where systemd, and everybody after it, mounts them.
const ROOT: &str = "/sys/fs/cgroup";
/// The kernel's magic numbers, `linux/magic.h`.
const CGROUP: u64 = 0x0027_e0eb;
const CGROUP2: u64 = 0x6367_7270;
/// What the kernel counts by. Any other hierarchy has a name only, as systemd's own.
const CONTROLLERS: [&str; 14] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

/// The hierarchies of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// One, v2, at this folder.
    Unified(PathBuf),
    /// Several, v1: the controllers of each, and its folder.
    Split(Vec<(Vec<String>, PathBuf)>),
}

impl Host {
    /// Looks.
    ///
    /// # Errors
    /// When no cgroups are mounted where they should be.
    pub(crate) fn look() -> anyhow::Result<Self> {
        if magic(Path::new(ROOT)) == Some(CGROUP2) {
            return Ok(Self::Unified(ROOT.into()));
        }
        let entries = fs::read_dir(ROOT).with_context(|| format!("cannot read {ROOT}"))?.flatten();
        // Links are other names of what is there.
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let hierarchies: Vec<_> = folders
            .filter(|entry| magic(&entry.path()) == Some(CGROUP))
            .map(|entry| (controllers(&entry.file_name().to_string_lossy()), entry.path()))
            .collect();
        anyhow::ensure!(!hierarchies.is_empty(), "no cgroups are mounted at {ROOT}: containers need them");
        Ok(Self::Split(hierarchies))
    }
}

/// The kind of file system a folder is in.
fn magic(folder: &Path) -> Option<u64> {
    u64::try_from(rustix::fs::statfs(folder).ok()?.f_type).ok()
}

/// A hierarchy's folder is called after its controllers, or has a name.
fn controllers(folder: &str) -> Vec<String> {
    let parts: Vec<&str> = folder.split(',').collect();
    if parts.iter().all(|part| CONTROLLERS.contains(part)) {
        return parts.into_iter().map(Into::into).collect();
    }
    vec![format!("name={folder}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hierarchy_is_called_after_its_controllers() {
        assert_eq!(controllers("cpu,cpuacct"), ["cpu", "cpuacct"]);
        assert_eq!(controllers("systemd"), ["name=systemd"]);
    }
}
