//! The directories of a cgroup, and the contents of its files.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, ensure};

use super::host::Hierarchies;

/// The directories of a cgroup, existing or not: one on v2, one per hierarchy on v1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupDirs {
    unified: Option<PathBuf>,
    /// The controllers of each v1 hierarchy, and the cgroup's directory there.
    v1: Vec<(Vec<String>, PathBuf)>,
}

impl CgroupDirs {
    /// The cgroup at `path`, relative to where the hierarchies are mounted.
    ///
    /// # Errors
    /// When the host has no cgroups, or the path leads out of them.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let below = path.strip_prefix("/").unwrap_or(path);
        let named = below.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(
            named && below != Path::new(""),
            "{path:?} is no cgroup that a container can have: it needs one of its own"
        );
        Ok(match Hierarchies::detect()? {
            Hierarchies::Unified(root) => Self { unified: Some(root.join(below)), v1: Vec::new() },
            Hierarchies::Split(hierarchies) => {
                let v1 = hierarchies.into_iter().map(|(controllers, root)| (controllers, root.join(below)));
                Self { unified: None, v1: v1.collect() }
            }
        })
    }

    /// The cgroup of the running process `pid`, on a host with the unified hierarchy.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn of(pid: i32) -> anyhow::Result<Self> {
        let cgroups = format!("/proc/{pid}/cgroup");
        let member = fs::read_to_string(&cgroups).with_context(|| format!("cannot read {cgroups}"))?;
        let path = member.lines().find_map(|line| line.strip_prefix("0::"));
        Self::at(Path::new(path.with_context(|| format!("process {pid} is in no cgroup of v2"))?))
    }

    /// Only the hierarchy of `controller`, for processes that nothing else limits.
    ///
    /// # Errors
    /// When the host has no such controller.
    pub(crate) fn only(self, controller: &str) -> anyhow::Result<Self> {
        let Self { unified, mut v1 } = self;
        v1.retain(|(all, _)| all.iter().any(|name| name == controller));
        ensure!(unified.is_some() || !v1.is_empty(), "this host has no {controller} controller");
        Ok(Self { unified, v1 })
    }

    /// Its directory in each hierarchy.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Path> {
        self.v1.iter().map(|(_, dir)| dir).chain(&self.unified).map(PathBuf::as_path)
    }

    /// The controllers of each v1 hierarchy, in the order of [`CgroupDirs::all`], and the name under which it is
    /// mounted.
    pub(crate) fn hierarchies(&self) -> impl Iterator<Item = (&[String], String)> {
        self.v1.iter().map(|(controllers, _)| {
            let name = controllers.join(",");
            (controllers.as_slice(), name.strip_prefix("name=").unwrap_or(&name).to_owned())
        })
    }

    /// Whether the cgroup still exists: systemd removes it with its last process.
    pub fn exists(&self) -> bool {
        self.all().any(Path::exists)
    }

    /// Its directory on a host with the unified hierarchy.
    pub fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    /// Its directory in the v1 hierarchy of `controller`, or the only one on v2.
    pub fn of_controller(&self, controller: &str) -> Option<&Path> {
        let in_v1 = self.v1.iter().find(|(all, _)| all.iter().any(|name| name == controller));
        in_v1.map(|(_, dir)| dir.as_path()).or(self.unified())
    }

    /// The contents of a file of `controller`; `None` where this kernel has none.
    pub fn text(&self, controller: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.of_controller(controller)?.join(file)).ok()
    }

    /// A file that holds one number; `max` is `u64::MAX`.
    pub fn number(&self, controller: &str, file: &str) -> Option<u64> {
        self.text(controller, file).and_then(|text| number(&text))
    }

    /// A file of lines `NAME NUMBER`.
    pub fn keyed(&self, controller: &str, file: &str) -> Keyed {
        Keyed(self.text(controller, file).unwrap_or_default())
    }

    /// All processes in the cgroup and below it, in the reader's pid namespace; none where it does not exist.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        // The processes are the same in every v1 hierarchy; one of these two exists everywhere.
        let dir = self.of_controller("devices").or(self.of_controller("memory"));
        let mut dirs: Vec<PathBuf> = dir.map(Path::to_owned).into_iter().collect();
        while let Some(dir) = dirs.pop() {
            let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            pids.extend(procs.lines().filter_map(|pid| pid.parse::<i32>().ok()));
            dirs.extend(child_dirs(&dir));
        }
        pids
    }
}

/// The direct children of a cgroup.
pub(super) fn child_dirs(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Lines of a name and a number.
#[derive(Debug, Default)]
pub struct Keyed(String);

impl Keyed {
    /// The number of `name`; 0 where there is none.
    pub fn get(&self, name: &str) -> u64 {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name).and_then(|(_, value)| number(value)).unwrap_or(0)
    }
}

/// A number as the kernel writes it.
pub fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1() -> CgroupDirs {
        let at =
            |names: &[&str], dir: &str| (names.iter().map(|name| name.to_string()).collect(), dir.into());
        CgroupDirs {
            unified: None,
            v1: vec![at(&["cpu", "cpuacct"], "/cpu/c"), at(&["memory"], "/memory/c")],
        }
    }

    #[test]
    fn a_controller_has_a_directory() {
        assert_eq!(v1().of_controller("cpuacct"), Some(Path::new("/cpu/c")));
        assert_eq!((v1().of_controller("pids"), v1().unified()), (None, None));
        assert!(v1().hierarchies().map(|(_, name)| name).eq(["cpu,cpuacct", "memory"]));
        let unified = CgroupDirs { unified: Some("/all/c".into()), v1: Vec::new() };
        assert_eq!(unified.of_controller("memory"), Some(Path::new("/all/c")));
    }

    #[test]
    fn a_path_cannot_leave_the_hierarchies() {
        for path in ["", "/", "..", "/a/../../b", "."] {
            assert!(CgroupDirs::at(Path::new(path)).is_err(), "{path:?}");
        }
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        let keyed = Keyed("anon 12\nfile 3\nanon_thp max\n".into());
        assert_eq!((keyed.get("anon"), keyed.get("file"), keyed.get("none")), (12, 3, 0));
        assert_eq!((number("max\n"), number("7\n"), number("")), (Some(u64::MAX), Some(7), None));
    }
}
