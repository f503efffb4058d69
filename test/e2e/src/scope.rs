//! One private containerd's share of the machine: its directory and its tag. Finds every process, mount, cgroup and
//! file of it.
//!
//! The tag is containerd's namespace and a variable of its environment, which other shims inherit; ours keeps the
//! variable with the path of containerd's socket, which is in its directory. A container has an environment of its own,
//! but its cgroup is below the namespace, or is a systemd scope named after it. With the CRI the namespace is always
//! the same, and the tag is the pods' parent cgroup.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Result;

use crate::cgroups::is_scope;

/// The prefix of the tests' directories, before the test's process id.
pub(crate) const PREFIX: &str = "lighter-e2e-";
/// The environment variable with containerd's ttrpc socket, set for shims.
const SOCKET: &str = "TTRPC_ADDRESS";
/// The environment variable that marks a containerd and its shims.
pub const MARK: &str = "LIGHTER_E2E";
/// Where shims put their sockets, whatever containerd's own directories are.
pub(crate) const SOCKETS: &str = "/run/containerd/s";
/// Where systemd keeps transient units.
const UNITS: &str = "/run/systemd/transient";
/// The suffix of the directories of containerds with the CRI.
pub(crate) const CRI: &str = "cri";
/// The suffix of the directories of containerds with a dockerd.
pub(crate) const DOCKER: &str = "docker";
/// The containerd namespace of the CRI.
const KUBERNETES: &str = "k8s.io";
/// Where CNI keeps the results of its plug-ins, whatever containerd's own directories are.
const RESULTS: &str = "/var/lib/cni/results";
/// The maximum depth of a container's state below a directory.
const DEPTH: usize = 5;

/// One private containerd's share of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The mark, and the name of the cgroup that contains all others.
    pub tag: String,
    /// The namespace of its containers: the tag, or with the CRI Kubernetes'.
    pub namespace: String,
    /// The directory of all its files.
    pub dir: PathBuf,
}

/// A process of the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Its command line, or its name if that is empty.
    pub command: String,
}

impl Process {
    /// Whether it is containerd itself.
    pub fn is_containerd(&self) -> bool {
        self.command.split_whitespace().next().is_some_and(|program| program.ends_with("/containerd"))
    }
}

impl Scope {
    /// The scope of the test with process id `test` on the containerd with these digits of its version.
    pub fn of(test: u32, digits: &str) -> Self {
        let dir = env::temp_dir().join(format!("{PREFIX}{test}")).join(digits);
        let tag = format!("e2e-{test}-{digits}");
        let namespace = if digits.ends_with(CRI) { KUBERNETES.into() } else { tag.clone() };
        Self { tag, namespace, dir }
    }

    /// Whether it has the CRI.
    pub fn is_cri(&self) -> bool {
        self.namespace == KUBERNETES
    }

    /// Whether its services have a network of their own.
    pub(crate) fn has_net(&self) -> bool {
        self.is_cri() || self.tag.ends_with(DOCKER)
    }

    /// Every live process of the scope.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn processes(&self) -> Result<Vec<Process>> {
        let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Ok(pids.filter_map(|pid| self.process(pid)).collect())
    }

    /// The process, if it belongs to the scope and has not ended.
    fn process(&self, pid: i32) -> Option<Process> {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).ok();
        let cgroups = String::from_utf8(read("cgroup")?).ok()?;
        let (mark, socket) = (format!("{MARK}={}", self.tag), format!("{SOCKET}={}/", self.dir.display()));
        let environ = read("environ")?;
        let marked = environ
            .split(|byte| *byte == 0)
            .any(|pair| pair == mark.as_bytes() || pair.starts_with(socket.as_bytes()));
        if !marked && !cgroups.split(['/', '\n']).any(|part| self.names(part)) {
            return None;
        }
        let stat = String::from_utf8(read("stat")?).ok()?;
        let mut fields = stat.rsplit(") ").next()?.split(' ');
        if fields.next()? == "Z" {
            return None;
        }
        let parent = fields.next()?.parse().ok()?;
        let line = String::from_utf8_lossy(&read("cmdline")?).replace('\0', " ");
        let named = if line.is_empty() { String::from_utf8(read("comm")?).ok()? } else { line };
        Some(Process { pid, parent, command: named.trim().into() })
    }

    /// Every mount point below the directory, in the order of mounting.
    ///
    /// # Errors
    /// When the mount table cannot be read.
    pub fn mounts(&self) -> Result<Vec<PathBuf>> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        Ok(points.filter(|point| point.starts_with(&self.dir)).collect())
    }

    /// Every cgroup of a container, in every hierarchy.
    ///
    /// # Errors
    /// When the mount table cannot be read.
    pub fn cgroups(&self) -> Result<Vec<PathBuf>> {
        let (outer, mut found): (Vec<PathBuf>, _) =
            self.tagged_cgroups()?.into_iter().partition(|group| group.ends_with(&self.tag));
        found.extend(outer.iter().flat_map(|dir| entries(dir)).filter(|entry| entry.is_dir()));
        Ok(found)
    }

    /// Every file and directory in a directory with the namespace's name, that is bundles and shims' state; every unit
    /// of systemd; and the state of pods. Not what containerd has hidden: it renames a bundle so before it removes it, and
    /// one that is killed in between never comes back to it.
    pub fn state(&self) -> Vec<PathBuf> {
        let mut units = entries(Path::new(UNITS));
        units.retain(|unit| named(unit).is_some_and(|name| is_scope(name, &self.tag)));
        let mut found: Vec<PathBuf> = self.tagged_state().iter().flat_map(|dir| entries(dir)).collect();
        found.retain(|path| named(path).is_some_and(|name| !name.starts_with('.')));
        found.extend(units);
        if self.is_cri() {
            found.extend(self.pods());
        }
        found
    }

    /// The state of pods: their records, their pinned namespaces, their addresses.
    fn pods(&self) -> Vec<PathBuf> {
        let plugins = ["root", "state"].map(|name| entries(&self.dir.join(name))).concat();
        let kinds = ["sandboxes", "containers", "netns"];
        let mut found: Vec<PathBuf> = plugins
            .iter()
            .flat_map(|plugin| kinds.map(|kind| entries(&plugin.join(kind))).concat())
            .collect();
        found.extend(entries(&self.dir.join("state/netns")));
        // Beside one file for each address there are a lock and the last address.
        let addresses = entries(&self.dir.join("cni/networks").join(&self.tag));
        let is_address =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("10."));
        found.extend(addresses.into_iter().filter(is_address));
        found.extend(self.results());
        found
    }

    /// CNI's results for the scope's pods, outside its directory: they name the pods' network namespaces, which are
    /// below it.
    pub(crate) fn results(&self) -> Vec<PathBuf> {
        let dir = self.dir.to_string_lossy();
        let names_it = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains(&*dir));
        entries(Path::new(RESULTS)).into_iter().filter(names_it).collect()
    }

    /// Whether a cgroup called `name` belongs to the tag.
    fn names(&self, name: &str) -> bool {
        name == self.tag || is_scope(name, &self.tag)
    }

    pub(crate) fn tagged_cgroups(&self) -> Result<Vec<PathBuf>> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let hierarchies = table.lines().filter(|line| line.contains(" - cgroup"));
        let roots = hierarchies.filter_map(|line| line.split(' ').nth(4));
        Ok(roots.flat_map(|root| tagged(Path::new(root), &|name| self.names(name), DEPTH)).collect())
    }

    pub(crate) fn tagged_state(&self) -> Vec<PathBuf> {
        let mut found = tagged(&self.dir, &|name| name == self.namespace, DEPTH);
        if !self.is_cri() {
            // In /run the namespace k8s.io may be that of another containerd.
            found.extend(tagged(Path::new("/run"), &|name| name == self.namespace, DEPTH));
        }
        found
    }

    /// Every shim socket on the machine that no one listens on.
    pub fn dead_sockets(&self) -> Vec<PathBuf> {
        let listening = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let sockets = fs::read_dir(SOCKETS).into_iter().flatten().flatten().map(|entry| entry.path());
        sockets.filter(|socket| !listening.contains(&*socket.to_string_lossy())).collect()
    }
}

/// The directories whose name is `wanted`, at most `depth` levels below `dir`. Never follows links.
fn tagged(dir: &Path, wanted: &dyn Fn(&str) -> bool, depth: usize) -> Vec<PathBuf> {
    // The file type of a directory entry takes no system call for each of the many files.
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let dirs = fs::read_dir(dir).into_iter().flatten().flatten().filter(is_dir);
    let (mut found, others): (Vec<PathBuf>, Vec<PathBuf>) =
        dirs.map(|entry| entry.path()).partition(|entry| named(entry).is_some_and(wanted));
    if depth > 0 {
        others.iter().for_each(|other| found.extend(tagged(other, wanted, depth - 1)));
    }
    found
}

fn named(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// The entries of `dir`; none when it is gone.
pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
