//! A cgroup made, joined, frozen and removed by the kernel's files.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::folders::{Folders, subfolders};

/// How long the kernel may take to freeze, or to let go of, a cgroup.
const PATIENCE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(2);
/// The controllers of v2 that a container is counted and limited by.
const UNIFIED: [&str; 7] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"];

impl Folders {
    /// Makes the cgroup in every hierarchy in which it is not there.
    ///
    /// # Errors
    /// Names the folder and what the kernel said.
    pub(crate) fn make(&self) -> anyhow::Result<()> {
        for folder in self.all() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make cgroup {}", folder.display()))?;
        }
        if let Some(folder) = self.unified() {
            enable_controllers(folder);
        } else if let Some(folder) = self.of_controller("cpuset") {
            inherit_cpuset(folder).with_context(|| format!("cannot set the CPUs of {}", folder.display()))?;
        }
        Ok(())
    }

    /// Moves a process into the cgroup, in every hierarchy in which it is.
    ///
    /// # Errors
    /// Names the file and what the kernel said.
    pub fn admit(&self, pid: i32) -> anyhow::Result<()> {
        for folder in self.all().filter(|folder| folder.exists()) {
            let procs = folder.join("cgroup.procs");
            fs::write(&procs, pid.to_string())
                .with_context(|| format!("cannot move process {pid} into {}", procs.display()))?;
        }
        Ok(())
    }

    /// Stops every process in it, or lets them go on.
    ///
    /// # Errors
    /// When the host has no freezer, or a process would not stop in time.
    pub fn freeze(&self, frozen: bool) -> anyhow::Result<()> {
        let (file, state) = match (self.unified().is_some(), frozen) {
            (true, _) => ("cgroup.freeze", if frozen { "1" } else { "0" }),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        let folder = self.of_controller("freezer").context("this host has no freezer")?;
        let path = folder.join(file);
        let end = Instant::now() + PATIENCE;
        loop {
            // On v1 a process that was just born can keep the others waiting until asked again.
            fs::write(&path, state).with_context(|| format!("cannot write to {}", path.display()))?;
            if self.is_in(state) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{}: a process does not stop", folder.display());
            sleep(STEP);
        }
    }

    /// Whether what was asked of the freezer is so: on the way there v1 says FREEZING.
    fn is_in(&self, asked: &str) -> bool {
        match self.unified() {
            Some(_) => self.keyed("freezer", "cgroup.events").get("frozen").to_string() == asked,
            None => self.text("freezer", "freezer.state").is_some_and(|state| state.trim() == asked),
        }
    }

    /// Kills every process in it until none is born any more.
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

    /// Removes it, with what its processes have made below it. Nothing to remove is success: somebody else
    /// may be removing it too.
    ///
    /// # Errors
    /// Names the first folder that would not go.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        let removed = |folder: &Path| {
            remove_tree(folder, end).with_context(|| format!("cannot remove cgroup {}", folder.display()))
        };
        self.all().map(removed).fold(Ok(()), anyhow::Result::and)
    }
}

fn remove_tree(folder: &Path, end: Instant) -> io::Result<()> {
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // Of cgroups inside, or of a process that has ended and is not reaped.
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < end => {}
            done => return done,
        }
        let mut inside = subfolders(folder).peekable();
        if inside.peek().is_none() {
            sleep(STEP);
        }
        inside.try_for_each(|below| remove_tree(&below, end))?;
    }
}

/// Has the controllers passed down to a cgroup of v2. What an ancestor does not let through is not there:
/// a limit that needs it fails and names the file.
fn enable_controllers(folder: &Path) {
    let above: Vec<&Path> = folder.ancestors().skip(1).take_while(|above| is_cgroup(above)).collect();
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

/// A new cgroup of v1 may use no CPU and no memory node until it is told which: those of its parent.
fn inherit_cpuset(folder: &Path) -> io::Result<()> {
    const FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];
    let read = |folder: &Path, file: &str| fs::read_to_string(folder.join(file));
    let mut empty = Vec::new();
    for file in FILES {
        if read(folder, file)?.trim().is_empty() {
            empty.push(file);
        }
    }
    let Some(parent) = folder.parent().filter(|parent| !empty.is_empty() && is_cgroup(parent)) else {
        return Ok(());
    };
    inherit_cpuset(parent)?;
    empty.into_iter().try_for_each(|file| fs::write(folder.join(file), read(parent, file)?.trim()))
}

fn is_cgroup(folder: &Path) -> bool {
    folder.join("cgroup.procs").exists()
}
