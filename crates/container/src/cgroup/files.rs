//! Creates, joins, freezes and removes a cgroup, by the kernel's files.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::dirs::{CgroupDirs, child_dirs};

/// How long the kernel may take to freeze or to remove a cgroup.
const PATIENCE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(2);
/// The v2 controllers that count and limit a container.
const UNIFIED: [&str; 7] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"];

impl CgroupDirs {
    /// Creates the cgroup in every hierarchy where it does not exist.
    ///
    /// # Errors
    /// Names the directory and the kernel's error.
    pub(crate) fn make(&self) -> anyhow::Result<()> {
        for dir in self.all() {
            fs::create_dir_all(dir).with_context(|| format!("cannot make cgroup {}", dir.display()))?;
        }
        if let Some(dir) = self.unified() {
            enable_controllers(dir);
        } else if let Some(dir) = self.of_controller("cpuset") {
            inherit_cpuset(dir).with_context(|| format!("cannot set the CPUs of {}", dir.display()))?;
        }
        Ok(())
    }

    /// Moves a process into the cgroup, in every hierarchy where it exists.
    ///
    /// # Errors
    /// Names the file and the kernel's error.
    pub fn admit(&self, pid: i32) -> anyhow::Result<()> {
        for dir in self.all().filter(|dir| dir.exists()) {
            let procs = dir.join("cgroup.procs");
            fs::write(&procs, pid.to_string())
                .with_context(|| format!("cannot move process {pid} into {}", procs.display()))?;
        }
        Ok(())
    }

    /// Freezes or thaws all its processes.
    ///
    /// # Errors
    /// When the host has no freezer, or a process would not stop in time.
    pub fn freeze(&self, frozen: bool) -> anyhow::Result<()> {
        let (file, state) = match (self.unified().is_some(), frozen) {
            (true, _) => ("cgroup.freeze", if frozen { "1" } else { "0" }),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        let dir = self.of_controller("freezer").context("this host has no freezer")?;
        let path = dir.join(file);
        let end = Instant::now() + PATIENCE;
        loop {
            // On v1 a process that was just forked can keep the state at FREEZING until it is written again.
            fs::write(&path, state).with_context(|| format!("cannot write to {}", path.display()))?;
            if self.is_in(state) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{}: a process does not stop", dir.display());
            sleep(STEP);
        }
    }

    /// Whether the freezer is in the requested state: v1 shows FREEZING on the way there.
    fn is_in(&self, asked: &str) -> bool {
        match self.unified() {
            Some(_) => self.keyed("freezer", "cgroup.events").get("frozen").to_string() == asked,
            None => self.text("freezer", "freezer.state").is_some_and(|state| state.trim() == asked),
        }
    }

    /// Kills all its processes until no new one appears, for a limited time.
    pub fn kill_all(&self) {
        let end = Instant::now() + PATIENCE;
        let mut pids = self.pids();
        while !pids.is_empty() && Instant::now() < end {
            for pid in pids {
                // It may have ended by itself since.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            sleep(STEP);
            pids = self.pids();
        }
    }

    /// Removes it, with the cgroups below it. Not an error where nothing is left: another process may be removing it,
    /// too.
    ///
    /// # Errors
    /// Names the first directory that cannot be removed.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        let removed = |dir: &Path| {
            remove_tree(dir, end).with_context(|| format!("cannot remove cgroup {}", dir.display()))
        };
        self.all().map(removed).fold(Ok(()), anyhow::Result::and)
    }
}

fn remove_tree(dir: &Path, end: Instant) -> io::Result<()> {
    loop {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // Child cgroups, or an ended process that is not reaped yet.
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < end => {}
            done => return done,
        }
        let mut inside = child_dirs(dir).peekable();
        if inside.peek().is_none() {
            sleep(STEP);
        }
        inside.try_for_each(|below| remove_tree(&below, end))?;
    }
}

/// Enables the controllers down to a cgroup of v2. Errors are ignored: where an ancestor withholds a controller,
/// setting a limit that needs it fails and names the file.
fn enable_controllers(dir: &Path) {
    let above: Vec<&Path> = dir.ancestors().skip(1).take_while(|above| is_cgroup(above)).collect();
    for parent in above.into_iter().rev() {
        let words = |file: &str| fs::read_to_string(parent.join(file)).unwrap_or_default();
        let (there, passed) = (words("cgroup.controllers"), words("cgroup.subtree_control"));
        let has = |words: &str, name: &str| words.split_whitespace().any(|word| word == name);
        let missing = UNIFIED.iter().filter(|name| has(&there, name) && !has(&passed, name));
        for name in missing {
            // See above.
            let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{name}"));
        }
    }
}

/// A new v1 cgroup has no CPUs and no memory nodes until they are set: to those of its parent.
fn inherit_cpuset(dir: &Path) -> io::Result<()> {
    const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];
    let read = |dir: &Path, file: &str| fs::read_to_string(dir.join(file));
    let mut empty = Vec::new();
    for file in FILES {
        if read(dir, file)?.trim().is_empty() {
            empty.push(file);
        }
    }
    let Some(parent) = dir.parent().filter(|parent| !empty.is_empty() && is_cgroup(parent)) else {
        return Ok(());
    };
    inherit_cpuset(parent)?;
    empty.into_iter().try_for_each(|file| fs::write(dir.join(file), read(parent, file)?.trim()))
}

fn is_cgroup(dir: &Path) -> bool {
    dir.join("cgroup.procs").exists()
}
