//! Network namespaces: those of the tests, kept by a mount below a scope's directory or by a descriptor, so that
//! everything done in one vanishes with it; and those of containers.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use crate::process::run;

/// A network namespace.
#[derive(Clone, Debug)]
pub struct Net {
    file: PathBuf,
    /// Keeps it alive, where no mount does.
    _held: Option<Arc<File>>,
}

impl Net {
    /// Makes one with its loopback up and nothing else, kept at `file`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn make(file: &Path) -> Result<Self> {
        File::create(file)?;
        let keep = format!("--net={}", file.display());
        run(Command::new("unshare").arg(keep).args(["busybox", "ip", "link", "set", "lo", "up"]))?
            .ok()
            .context("a network namespace for containerd")?;
        Ok(Self { file: file.into(), _held: None })
    }

    /// Makes one that lasts as long as this value and the processes in it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn hold() -> Result<Self> {
        let held = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            run(Command::new("busybox").args(["ip", "link", "set", "lo", "up"]))?.ok()?;
            Ok(File::open("/proc/thread-self/ns/net")?)
        })?;
        let file = format!("/proc/{}/fd/{}", process::id(), held.as_raw_fd()).into();
        Ok(Self { file, _held: Some(Arc::new(held)) })
    }

    /// The file to join it by.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// That of process `pid`, for as long as it lives.
    pub fn of(pid: i32) -> Self {
        Self { file: format!("/proc/{pid}/ns/net").into(), _held: None }
    }

    /// A command that executes `program` inside, with the same process id.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file.display())).arg("--").arg(program);
        command
    }

    /// Adds an address to its loopback.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add(&self, address: &str) -> Result<()> {
        let mut busybox = self.command(Path::new("busybox"));
        run(busybox.args(["ip", "address", "add", address, "dev", "lo"]))?.ok().map(drop)
    }

    /// A listener inside, whose accept times out.
    ///
    /// # Errors
    /// When the address is in use.
    pub fn listen(&self, at: &str) -> Result<TcpListener> {
        let listener = self.inside(|| TcpListener::bind(at).with_context(|| at.to_owned()))?;
        setsockopt(&listener, sockopt::ReceiveTimeout, &TimeVal::new(10, 0))?;
        Ok(listener)
    }

    /// Runs `work` on a thread inside; sockets it opens stay inside wherever they are used.
    ///
    /// # Errors
    /// Those of `work`, or that the namespace is gone.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let namespace = File::open(&self.file).with_context(|| self.file.display().to_string())?;
        on_a_thread(|| {
            setns(&namespace, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;
            work()
        })
    }
}

/// Runs `work` on a thread of its own, whose namespaces end with it.
fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(work);
        thread.join().unwrap_or_else(|_| Err(anyhow!("the thread in the network namespace panicked")))
    })
}
