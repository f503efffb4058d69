//! Removes everything of one private containerd, whatever its state: of this run, or of one that was killed before
//! it could.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::poll;
use crate::scope::{PREFIX, Process, SOCKETS, Scope, entries};

impl Scope {
    /// The scopes of tests that were killed before they could clean up.
    ///
    /// # Errors
    /// When the directory of temporary files cannot be read.
    pub fn stale() -> Result<Vec<Self>> {
        let names =
            fs::read_dir(env::temp_dir())?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let tests = names.filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok());
        let dead = tests.filter(|test: &u32| !Path::new("/proc").join(test.to_string()).exists());
        let dirs = dead.flat_map(|test| {
            entries(&env::temp_dir().join(format!("{PREFIX}{test}")))
                .into_iter()
                .map(move |path| (test, path))
        });
        Ok(dirs.filter_map(|(test, path)| Some(Self::of(test, path.file_name()?.to_str()?))).collect())
    }

    /// The shim sockets that the scope's processes hold open.
    fn sockets(&self) -> Result<Vec<PathBuf>> {
        let table = fs::read_to_string("/proc/net/unix")?;
        let mut found = Vec::new();
        for process in self.processes()? {
            let fds = fs::read_dir(format!("/proc/{}/fd", process.pid)).into_iter().flatten().flatten();
            let targets = fds.filter_map(|fd| fs::read_link(fd.path()).ok()?.to_str().map(String::from));
            for inode in targets.filter_map(|target| Some(target.strip_prefix("socket:[")?.replace(']', "")))
            {
                let line = table.lines().find(|line| line.split_whitespace().nth(6) == Some(&inode));
                let path = line.and_then(|line| line.split_whitespace().nth(7));
                found.extend(path.filter(|path| path.starts_with(SOCKETS)).map(PathBuf::from));
            }
        }
        Ok(found)
    }

    /// Kills every process of the scope and removes every trace of it.
    ///
    /// # Errors
    /// When something cannot be ended or removed.
    pub fn sweep(&self) -> Result<()> {
        let sockets = self.sockets()?;
        // containerd first: it executes a shim's `delete` for every shim it loses.
        self.end(Process::is_containerd)?;
        self.end(|_| true)?;
        for point in self.mounts()?.iter().rev() {
            umount2(point, MntFlags::MNT_DETACH).with_context(|| format!("umount {}", point.display()))?;
        }
        sockets.iter().for_each(|socket| drop(fs::remove_file(socket)));
        for dir in self.tagged_state() {
            fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
        }
        self.results().iter().for_each(|result| drop(fs::remove_file(result)));
        // The kernel takes a moment to release the killed processes' cgroups.
        poll("the cgroups to be empty", Duration::from_secs(5), || {
            let (inner, outer) = (self.cgroups()?, self.tagged_cgroups()?);
            inner.iter().chain(&outer).for_each(|group| drop(fs::remove_dir(group)));
            Ok(outer.is_empty().then_some(()))
        })?;
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir).with_context(|| format!("remove {}", self.dir.display()))?;
        }
        // Fails as long as another version's directory is beside this one.
        drop(self.dir.parent().map(fs::remove_dir));
        Ok(())
    }

    fn end(&self, which: impl Fn(&Process) -> bool) -> Result<()> {
        poll("killed processes to end", Duration::from_secs(10), || {
            let left: Vec<Process> = self.processes()?.into_iter().filter(&which).collect();
            // A process that has ended since it was listed is fine.
            left.iter().for_each(|process| _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL));
            Ok(left.is_empty().then_some(()))
        })
    }
}
