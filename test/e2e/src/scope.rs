//! What belongs to one private containerd: its folder and its tag. Finds every process, mount,
//! cgroup and file of it.
//!
//! The tag is containerd's namespace and stands in its environment, which every shim inherits. A
//! container has an environment of its own, but its cgroup lies below the namespace.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Result;

/// Folders of the tests are called so, followed by the test's process id.
pub(crate) const PREFIX: &str = "lighter-e2e-";
/// The environment variable that marks a containerd and its shims.
pub const MARK: &str = "LIGHTER_E2E";
/// Where shims put their sockets, whatever containerd's own folders are.
pub(crate) const SOCKETS: &str = "/run/containerd/s";
/// How deep below a folder the state of a container may lie.
const DEPTH: usize = 5;

/// One private containerd's share of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Namespace and mark.
    pub tag: String,
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
        Self { tag: format!("e2e-{test}-{digits}"), dir }
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
        let marked = read("environ")?.split(|byte| *byte == 0).any(|pair| {
            pair.strip_prefix(MARK.as_bytes()).is_some_and(|rest| rest == format!("={}", self.tag).as_bytes())
        });
        if !marked && !cgroups.split(['/', '\n']).any(|part| part == self.tag) {
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
        let tagged = self.tagged_cgroups()?;
        Ok(tagged.iter().flat_map(|folder| entries(folder)).filter(|entry| entry.is_dir()).collect())
    }

    /// Every file or folder in a folder named like the tag: bundles and shims' state.
    pub fn state(&self) -> Vec<PathBuf> {
        self.tagged_state().iter().flat_map(|folder| entries(folder)).collect()
    }

    pub(crate) fn tagged_cgroups(&self) -> Result<Vec<PathBuf>> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let hierarchies = table.lines().filter(|line| line.contains(" - cgroup"));
        let roots = hierarchies.filter_map(|line| line.split(' ').nth(4));
        Ok(roots.flat_map(|root| tagged(Path::new(root), &self.tag, DEPTH)).collect())
    }

    pub(crate) fn tagged_state(&self) -> Vec<PathBuf> {
        let roots = [self.dir.as_path(), Path::new("/run")];
        roots.into_iter().flat_map(|root| tagged(root, &self.tag, DEPTH)).collect()
    }

    /// Every shim socket on the machine that no one listens on.
    pub fn dead_sockets(&self) -> Vec<PathBuf> {
        let listening = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let sockets = fs::read_dir(SOCKETS).into_iter().flatten().flatten().map(|entry| entry.path());
        sockets.filter(|socket| !listening.contains(&*socket.to_string_lossy())).collect()
    }
}

/// The folders called `tag` at most `depth` folders below `folder`. Never follows links.
fn tagged(folder: &Path, tag: &str, depth: usize) -> Vec<PathBuf> {
    let folders = entries(folder).into_iter().filter(|entry| entry.is_dir() && !entry.is_symlink());
    let (mut found, others): (Vec<PathBuf>, Vec<PathBuf>) = folders.partition(|entry| entry.ends_with(tag));
    if depth > 0 {
        others.iter().for_each(|other| found.extend(tagged(other, tag, depth - 1)));
    }
    found
}

/// What is in `folder`; nothing when it is gone.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
