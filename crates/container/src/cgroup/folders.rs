//! Where a cgroup is in the file system, and what its files say. Reads the kernel's files only; what is
//! written there goes through libcgroups.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// The folders of the cgroup a process is in: one on v2, one per hierarchy on v1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    unified: Option<PathBuf>,
    /// The controllers of each v1 hierarchy, and the cgroup's folder there.
    v1: Vec<(Vec<String>, PathBuf)>,
}

impl Folders {
    /// The cgroup of the living process `pid`.
    ///
    /// # Errors
    /// When the process is gone, or the host has no cgroups mounted.
    pub fn of(pid: i32) -> anyhow::Result<Self> {
        let cgroups = format!("/proc/{pid}/cgroup");
        let member = fs::read_to_string(&cgroups).with_context(|| format!("cannot read {cgroups}"))?;
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
        let folders = Self::read(&member, &mounts);
        ensure!(folders != Self::default(), "process {pid} is in no cgroup that is mounted here");
        Ok(folders)
    }

    /// The cgroup at `path`, in every hierarchy where it is there.
    ///
    /// # Errors
    /// When it is nowhere.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
        let below = path.strip_prefix("/").unwrap_or(path);
        let mut all = Self::default();
        for mounted in mounts.lines().filter_map(Mounted::read) {
            let folder = Path::new(mounted.point).join(below);
            match (folder.is_dir(), mounted.unified) {
                (false, _) => {}
                (true, true) => all.unified = Some(folder),
                (true, false) => all.v1.push((Vec::new(), folder)),
            }
        }
        ensure!(all != Self::default(), "there is no cgroup {}", path.display());
        Ok(all)
    }

    /// Joins what `/proc/PID/cgroup` and `/proc/self/mountinfo` say.
    fn read(member: &str, mounts: &str) -> Self {
        let mut all = Self::default();
        for line in member.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let found = mounts.lines().filter_map(Mounted::read).find(|mounted| mounted.has(controllers));
            let Some(folder) = found.and_then(|mounted| mounted.folder(path)) else { continue };
            match controllers {
                "" => all.unified = Some(folder),
                listed => all.v1.push((listed.split(',').map(Into::into).collect(), folder)),
            }
        }
        // On a hybrid host the unified hierarchy is there too, without controllers: v1 is what counts.
        if all.v1.iter().any(|(controllers, _)| controllers.iter().any(|name| name == "memory")) {
            all.unified = None;
        }
        all
    }

    /// Whether the cgroup is there still: systemd removes one with its last process.
    pub fn exists(&self) -> bool {
        self.v1.iter().map(|(_, folder)| folder).chain(&self.unified).any(|folder| folder.exists())
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
        // The processes are the same in every v1 hierarchy; this is the one that libcgroups looks at, too.
        let mut pids = Vec::new();
        let mut folders: Vec<PathBuf> =
            self.of_controller("devices").map(Path::to_owned).into_iter().collect();
        while let Some(folder) = folders.pop() {
            let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(procs.lines().filter_map(|pid| pid.parse::<i32>().ok()));
            let below = fs::read_dir(&folder).into_iter().flatten().flatten();
            let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            folders.extend(below.filter(is_folder).map(|entry| entry.path()));
        }
        pids
    }

    /// Moves a process into the cgroup, in every hierarchy.
    ///
    /// # Errors
    /// Names the file and what the kernel said.
    pub fn admit(&self, pid: i32) -> anyhow::Result<()> {
        let folders = self.v1.iter().map(|(_, folder)| folder).chain(&self.unified);
        for procs in folders.map(|folder| folder.join("cgroup.procs")) {
            fs::write(&procs, pid.to_string())
                .with_context(|| format!("cannot move process {pid} into {}", procs.display()))?;
        }
        Ok(())
    }
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

/// One line of the mount table that mounts cgroups.
struct Mounted<'a> {
    root: &'a str,
    point: &'a str,
    options: &'a str,
    unified: bool,
}

impl<'a> Mounted<'a> {
    /// Fields: id, parent, device, root, mount point, options, tags…, `-`, type, source, super options.
    fn read(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let unified = match after.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        let mut before = before.split(' ').skip(3);
        Some(Self { root: before.next()?, point: before.next()?, options: after.nth(1)?, unified })
    }

    fn has(&self, controllers: &str) -> bool {
        match controllers {
            "" => self.unified,
            // The name of a v1 hierarchy may be a list, whose members are options one by one.
            listed => {
                !self.unified && listed.split(',').all(|name| self.options.split(',').any(|has| has == name))
            }
        }
    }

    /// The folder of `path`, which is relative to the hierarchy's root; only a part may be mounted.
    fn folder(&self, path: &str) -> Option<PathBuf> {
        let below = Path::new(path).strip_prefix(self.root).ok()?;
        Some(Path::new(self.point).join(below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "30 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
        31 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
        32 25 0:29 /docker/x /sys/fs/cgroup/memory rw master:9 - cgroup cgroup rw,memory\n\
        33 25 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";

    #[test]
    fn finds_the_folders_of_v1() {
        let member = "4:memory:/docker/x/c\n3:cpu,cpuacct:/c\n1:name=systemd:/c\n0::/c\n";
        let all = Folders::read(member, V1);
        assert_eq!(all.unified(), None);
        assert_eq!(all.of_controller("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/c")));
        assert_eq!(all.of_controller("memory"), Some(Path::new("/sys/fs/cgroup/memory/c")));
        assert_eq!(all.of_controller("name=systemd"), Some(Path::new("/sys/fs/cgroup/systemd/c")));
        assert_eq!(all.of_controller("pids"), None);
    }

    #[test]
    fn finds_the_folder_of_v2() {
        let mounts = "30 25 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let all = Folders::read("0::/system.slice/ctr-c.scope\n", mounts);
        assert_eq!(all.unified(), Some(Path::new("/sys/fs/cgroup/system.slice/ctr-c.scope")));
        assert_eq!(all.of_controller("memory"), all.unified());
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        let keyed = Keyed("anon 12\nfile 3\nanon_thp max\n".into());
        assert_eq!((keyed.get("anon"), keyed.get("file"), keyed.get("none")), (12, 3, 0));
        assert_eq!((number("max\n"), number("7\n"), number("")), (Some(u64::MAX), Some(7), None));
    }
}
