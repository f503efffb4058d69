//! A network namespace of the tests' own, kept by a mount below a scope's folder: whatever a
//! containerd does to its network vanishes with it. And those of pods, entered.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::process::run;

/// A network namespace with its loopback up and nothing else.
#[derive(Clone, Debug)]
pub struct Net {
    file: PathBuf,
}

impl Net {
    /// Makes one, kept at `file`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn make(file: &Path) -> Result<Self> {
        File::create(file)?;
        let keep = format!("--net={}", file.display());
        run(Command::new("unshare").arg(keep).args(["busybox", "ip", "link", "set", "lo", "up"]))?
            .ok()
            .context("a network namespace for containerd")?;
        Ok(Self { file: file.into() })
    }

    /// That of a process, as long as it lives.
    pub fn of(pid: i32) -> Self {
        Self { file: format!("/proc/{pid}/ns/net").into() }
    }

    /// A command that becomes `program` inside, with the same process id.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file.display())).arg("--").arg(program);
        command
    }

    /// What `work` does on a thread inside; sockets it opens stay there wherever they are used.
    ///
    /// # Errors
    /// Those of `work`, or that the namespace is gone.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let namespace = File::open(&self.file).with_context(|| self.file.display().to_string())?;
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&namespace, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;
                work()
            });
            thread.join().unwrap_or_else(|_| Err(anyhow!("the thread in the network namespace panicked")))
        })
    }
}
