//! What belongs to one private containerd: its folder and its tag. Finds every process, mount,
//! cgroup and file of it.
//!
//! The tag is containerd's namespace and stands in its environment, which other shims inherit; ours keeps of it where
//! that containerd's socket is, which is in its folder. A container has an environment of its own, but its cgroup lies
//! below the namespace, or is a scope of systemd's that is called after it. Where pods are made, the namespace is always the same, and the
//! tag is the cgroup they are told to be in.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Result;

use crate::cgroups::is_scope;

/// Folders of the tests are called so, followed by the test's process id.
pub(crate) const PREFIX: &str = "lighter-e2e-";
/// The environment variable in which shims are told containerd's socket.
const SOCKET: &str = "TTRPC_ADDRESS";
/// The environment variable that marks a containerd and its shims.
pub const MARK: &str = "LIGHTER_E2E";
/// Where shims put their sockets, whatever containerd's own folders are.
pub(crate) const SOCKETS: &str = "/run/containerd/s";
/// Where systemd keeps the units that programs asked it for.
const UNITS: &str = "/run/systemd/transient";
/// How the names of the folders of containerds with Kubernetes' interface end.
pub(crate) const CRI: &str = "cri";
/// How the names of the folders of containerds with a dockerd end.
pub(crate) const DOCKER: &str = "docker";
/// The namespace of containerd that Kubernetes' interface is bound to.
const KUBERNETES: &str = "k8s.io";
/// Where CNI keeps the results of its plug-ins, whatever containerd's own folders are.
const RESULTS: &str = "/var/lib/cni/results";
/// How deep below a folder the state of a container may lie.
const DEPTH: usize = 5;

/// One private containerd's share of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The mark, and the name of the cgroup that all others are in.
    pub tag: String,
    /// The namespace its containers are in; the tag, unless they are Kubernetes'.
    pub namespace: String,
    /// The folder all of its files are in.
    pub dir: PathBuf,
}

/// A process of the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Its command line, or its name where it has none.
    pub command: String,
}

impl Process {
    /// Whether it is containerd itself.
    pub fn is_containerd(&self) -> bool {
        self.command.split_whitespace().next().is_some_and(|program| program.ends_with("/containerd"))
    }
}

impl Scope {
    /// The scope of the test with process id `test` on the containerd `digits`, its version's.
    pub fn of(test: u32, digits: &str) -> Self {
        let dir = env::temp_dir().join(format!("{PREFIX}{test}")).join(digits);
        let tag = format!("e2e-{test}-{digits}");
        let namespace = if digits.ends_with(CRI) { KUBERNETES.into() } else { tag.clone() };
        Self { tag, namespace, dir }
    }

    /// Whether it is one with Kubernetes' interface.
    pub fn is_cri(&self) -> bool {
        self.namespace == KUBERNETES
    }

    /// Whether what is started in it has a network of its own.
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

    /// The process, when it is one of the scope's. One that ends meanwhile is none.
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

    /// Every mount point below the folder, in the order of mounting.
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
        found.extend(outer.iter().flat_map(|folder| entries(folder)).filter(|entry| entry.is_dir()));
        Ok(found)
    }

    /// Every file or folder in a folder named like the namespace: bundles and shims' state; every unit of
    /// systemd's; and what pods have besides.
    pub fn state(&self) -> Vec<PathBuf> {
        let mut units = entries(Path::new(UNITS));
        units.retain(|unit| named(unit).is_some_and(|name| is_scope(name, &self.tag)));
        let mut found: Vec<PathBuf> = self.tagged_state().iter().flat_map(|folder| entries(folder)).collect();
        found.extend(units);
        if self.is_cri() {
            found.extend(self.pods());
        }
        found
    }

    /// What is there of pods: their records, their pinned namespaces, their addresses.
    fn pods(&self) -> Vec<PathBuf> {
        let plugins = ["root", "state"].map(|name| entries(&self.dir.join(name))).concat();
        let kinds = ["sandboxes", "containers", "netns"];
        let mut found: Vec<PathBuf> = plugins
            .iter()
            .flat_map(|plugin| kinds.map(|kind| entries(&plugin.join(kind))).concat())
            .collect();
        found.extend(entries(&self.dir.join("state/netns")));
        // Beside one file for each address there is a lock, and the last address given.
        let addresses = entries(&self.dir.join("cni/networks").join(&self.tag));
        let is_address =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("10."));
        found.extend(addresses.into_iter().filter(is_address));
        found.extend(self.results());
        found
    }

    /// What CNI keeps of the scope's pods outside its folder: it names their network namespaces, which
    /// are below it.
    pub(crate) fn results(&self) -> Vec<PathBuf> {
        let dir = self.dir.to_string_lossy();
        let tells = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains(&*dir));
        entries(Path::new(RESULTS)).into_iter().filter(tells).collect()
    }

    /// Whether a cgroup called `name` is the tag's.
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
            // There Kubernetes' namespace would be anybody's.
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

/// The folders that `wanted` names at most `depth` folders below `folder`. Never follows links.
fn tagged(folder: &Path, wanted: &dyn Fn(&str) -> bool, depth: usize) -> Vec<PathBuf> {
    // Without a call of the kernel for each of the many files.
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let folders = fs::read_dir(folder).into_iter().flatten().flatten().filter(is_folder);
    let (mut found, others): (Vec<PathBuf>, Vec<PathBuf>) =
        folders.map(|entry| entry.path()).partition(|entry| named(entry).is_some_and(wanted));
    if depth > 0 {
        others.iter().for_each(|other| found.extend(tagged(other, wanted, depth - 1)));
    }
    found
}

fn named(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// What is in `folder`; nothing when it is gone.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
