//! Finds the cgroup hierarchies of the host, in the directory where they are by convention, never in the mount table,
//! which grows with the node.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where they are mounted, as by systemd.
const ROOT: &str = "/sys/fs/cgroup";
/// The kernel's magic numbers, `linux/magic.h`.
const CGROUP: u64 = 0x0027_e0eb;
const CGROUP2: u64 = 0x6367_7270;
/// The kernel's controllers. Any other hierarchy has only a name, such as systemd's own.
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
pub(crate) enum Hierarchies {
    /// One, v2, in this directory.
    Unified(PathBuf),
    /// Several, v1: the controllers of each, and its directory.
    Split(Vec<(Vec<String>, PathBuf)>),
}

impl Hierarchies {
    /// Detects them.
    ///
    /// # Errors
    /// When no cgroups are mounted where they should be.
    pub(crate) fn detect() -> anyhow::Result<Self> {
        if magic(Path::new(ROOT)) == Some(CGROUP2) {
            return Ok(Self::Unified(ROOT.into()));
        }
        let entries = fs::read_dir(ROOT).with_context(|| format!("cannot read {ROOT}"))?.flatten();
        // Links are other names of the same hierarchies.
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let hierarchies: Vec<_> = dirs
            .filter(|entry| magic(&entry.path()) == Some(CGROUP))
            .map(|entry| (controllers(&entry.file_name().to_string_lossy()), entry.path()))
            .collect();
        anyhow::ensure!(!hierarchies.is_empty(), "no cgroups are mounted at {ROOT}: containers need them");
        Ok(Self::Split(hierarchies))
    }
}

/// The magic number of the file system that holds a directory.
fn magic(dir: &Path) -> Option<u64> {
    u64::try_from(rustix::fs::statfs(dir).ok()?.f_type).ok()
}

/// The controllers that name a hierarchy's directory, or its own name.
fn controllers(dir: &str) -> Vec<String> {
    let parts: Vec<&str> = dir.split(',').collect();
    if parts.iter().all(|part| CONTROLLERS.contains(part)) {
        return parts.into_iter().map(Into::into).collect();
    }
    vec![format!("name={dir}")]
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
