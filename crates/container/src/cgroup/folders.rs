//! Where a cgroup is in the file system, and what its files say.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, ensure};

use super::host::Host;

/// The folders of a cgroup, there or not: one on v2, one per hierarchy on v1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    unified: Option<PathBuf>,
    /// The controllers of each v1 hierarchy, and the cgroup's folder there.
    v1: Vec<(Vec<String>, PathBuf)>,
}

impl Folders {
    /// The cgroup at `path`, which counts from where the hierarchies are mounted.
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
        Ok(match Host::look()? {
            Host::Unified(root) => Self { unified: Some(root.join(below)), v1: Vec::new() },
            Host::Split(hierarchies) => {
                let v1 = hierarchies.into_iter().map(|(controllers, root)| (controllers, root.join(below)));
                Self { unified: None, v1: v1.collect() }
            }
        })
    }

    /// The cgroup that the living process `pid` is in, on a host with the unified hierarchy.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn of(pid: i32) -> anyhow::Result<Self> {
        let cgroups = format!("/proc/{pid}/cgroup");
        let member = fs::read_to_string(&cgroups).with_context(|| format!("cannot read {cgroups}"))?;
        let path = member.lines().find_map(|line| line.strip_prefix("0::"));
        Self::at(Path::new(path.with_context(|| format!("process {pid} is in no cgroup of v2"))?))
    }

    /// The same where `controller` is alone, for who is to be bounded by nothing else.
    ///
    /// # Errors
    /// When the host has no such controller.
    pub(crate) fn only(self, controller: &str) -> anyhow::Result<Self> {
        let Self { unified, mut v1 } = self;
        v1.retain(|(all, _)| all.iter().any(|name| name == controller));
        ensure!(unified.is_some() || !v1.is_empty(), "this host has no {controller} controller");
        Ok(Self { unified, v1 })
    }

    /// Its folder in each hierarchy.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Path> {
        self.v1.iter().map(|(_, folder)| folder).chain(&self.unified).map(PathBuf::as_path)
    }

    /// The controllers of each v1 hierarchy, in the order of [`Folders::all`], and what it is called where it is
    /// mounted.
    pub(crate) fn hierarchies(&self) -> impl Iterator<Item = (&[String], String)> {
        self.v1.iter().map(|(controllers, _)| {
            let name = controllers.join(",");
            (controllers.as_slice(), name.strip_prefix("name=").unwrap_or(&name).to_owned())
        })
    }

    /// Whether the cgroup is there still: systemd removes one with its last process.
    pub fn exists(&self) -> bool {
        self.all().any(Path::exists)
    }

    /// The folder on a host with the unified hierarchy.
    pub fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    /// The folder in the v1 hierarchy that has `controller`, or the one there is on v2.
    pub fn of_controller(&self, controller: &str) -> Option<&Path> {
        let in_v1 = self.v1.iter().find(|(all, _)| all.iter().any(|name| name == controller));
        in_v1.map(|(_, folder)| folder.as_path()).or(self.unified())
    }

    /// A file of `controller`'s; `None` where this kernel has none.
    pub fn text(&self, controller: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.of_controller(controller)?.join(file)).ok()
    }

    /// A file that holds one number; `max` is the largest there is.
    pub fn number(&self, controller: &str, file: &str) -> Option<u64> {
        self.text(controller, file).and_then(|text| number(&text))
    }

    /// A file of lines `NAME NUMBER`.
    pub fn keyed(&self, controller: &str, file: &str) -> Keyed {
        Keyed(self.text(controller, file).unwrap_or_default())
    }

    /// Every process in the cgroup and below it, in the reader's pid namespace; none when it is not there.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        // The processes are the same in every hierarchy of v1; these two are everywhere.
        let folder = self.of_controller("devices").or(self.of_controller("memory"));
        let mut folders: Vec<PathBuf> = folder.map(Path::to_owned).into_iter().collect();
        while let Some(folder) = folders.pop() {
            let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(procs.lines().filter_map(|pid| pid.parse::<i32>().ok()));
            folders.extend(subfolders(&folder));
        }
        pids
    }
}

/// The cgroups directly in a cgroup.
pub(super) fn subfolders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
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

    fn v1() -> Folders {
        let at = |names: &[&str], folder: &str| {
            (names.iter().map(|name| name.to_string()).collect(), folder.into())
        };
        Folders { unified: None, v1: vec![at(&["cpu", "cpuacct"], "/cpu/c"), at(&["memory"], "/memory/c")] }
    }

    #[test]
    fn a_controller_has_a_folder() {
        assert_eq!(v1().of_controller("cpuacct"), Some(Path::new("/cpu/c")));
        assert_eq!((v1().of_controller("pids"), v1().unified()), (None, None));
        assert!(v1().hierarchies().map(|(_, name)| name).eq(["cpu,cpuacct", "memory"]));
        let unified = Folders { unified: Some("/all/c".into()), v1: Vec::new() };
        assert_eq!(unified.of_controller("memory"), Some(Path::new("/all/c")));
    }

    #[test]
    fn a_path_cannot_leave_the_hierarchies() {
        for path in ["", "/", "..", "/a/../../b", "."] {
            assert!(Folders::at(Path::new(path)).is_err(), "{path:?}");
        }
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        let keyed = Keyed("anon 12\nfile 3\nanon_thp max\n".into());
        assert_eq!((keyed.get("anon"), keyed.get("file"), keyed.get("none")), (12, 3, 0));
        assert_eq!((number("max\n"), number("7\n"), number("")), (Some(u64::MAX), Some(7), None));
    }
}
