//! One private containerd: its directory, its network, its life. All differences between containerd's versions are
//! handled here and in its configuration, and nowhere else.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, process};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker::Dockerd;
use crate::net::Net;
use crate::process::{poll, run};
use crate::scope::{CRI, DOCKER, MARK, Scope};
use crate::versions::{Install, Shim};
use crate::{config, image, interrupt};

/// The file with our runtime's options.
pub(crate) const OPTIONS: &str = "runtime.toml";

/// The directory where WasmEdge would find plug-ins; empty for each scenario.
pub const PLUGINS: &str = "plugins";

/// A running private containerd; dropping it removes all its traces.
pub struct Containerd {
    /// Its version and programs.
    pub install: Install,
    /// The shim it uses.
    pub shim: Shim,
    /// Its share of the machine.
    pub scope: Scope,
    /// Its own network, with the CRI or Docker; otherwise the machine's.
    pub net: Option<Net>,
    /// The dockerd on it, if any.
    pub(crate) docker: Option<Dockerd>,
    child: Mutex<Option<Child>>,
    /// Shim sockets that were dead already when it started, and are not its own.
    others: Vec<PathBuf>,
}

impl Containerd {
    /// Starts `install` in a directory of its own.
    ///
    /// # Errors
    /// When it does not come up, with what it logged.
    pub fn start(install: &Install, shim: &Shim) -> Result<Self> {
        let scope = Scope::of(process::id(), &digits(install));
        let text = config::plain(&scope.dir);
        Self::start_in(scope, &text, install, shim)
    }

    /// Starts `install` in a directory and a network of its own, with the CRI.
    ///
    /// # Errors
    /// When it does not come up, with what it logged.
    pub fn start_with_cri(install: &Install, shim: &Shim) -> Result<Self> {
        let scope = Scope::of(process::id(), &format!("{}{CRI}", digits(install)));
        config::write_network(&scope)?;
        let text = config::with_cri(&scope, shim, install);
        Self::start_in(scope, &text, install, shim)
    }

    /// Starts `install` in a directory and a network of its own, and a dockerd on it.
    ///
    /// # Errors
    /// When one of them does not come up, with what it logged.
    pub fn start_with_docker(install: &Install, shim: &Shim) -> Result<Self> {
        let scope = Scope::of(process::id(), &format!("{}{DOCKER}", digits(install)));
        let text = config::plain(&scope.dir);
        let mut daemon = Self::start_in(scope, &text, install, shim)?;
        daemon.docker = Some(Dockerd::start(&daemon)?);
        Ok(daemon)
    }

    fn start_in(scope: Scope, config: &str, install: &Install, shim: &Shim) -> Result<Self> {
        interrupt::sweep_later(&scope);
        for name in ["bin", "log", "fifo", "tmp", PLUGINS] {
            fs::create_dir_all(scope.dir.join(name))?;
        }
        if let Some(binary) = &shim.binary {
            std::os::unix::fs::symlink(binary, scope.dir.join("bin").join(shim.program()))?;
        }
        fs::write(scope.dir.join("config.toml"), config)?;
        if let Some(options) = shim.driver.options() {
            fs::write(scope.dir.join(OPTIONS), options)?;
        }
        let net = scope.has_net().then(|| Net::make(&scope.dir.join("net"))).transpose()?;
        let (install, shim, others) = (install.clone(), shim.clone(), scope.dead_sockets());
        let daemon = Self { install, shim, scope, net, docker: None, child: Mutex::default(), others };
        daemon.resume()?;
        Ok(daemon)
    }

    /// `ctr` of the same version, pointed at this containerd.
    pub fn ctr<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(self.install.bin.join("ctr"));
        command.arg("--address").arg(self.socket()).args(["--namespace", &self.scope.namespace]).args(args);
        command
    }

    /// Imports an image archive.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn import(&self, archive: &Path) -> Result<()> {
        let args = ["images", "import", "--platform", image::PLATFORM];
        run(self.ctr(args).arg(archive))?.ok().context("import of the test image")?;
        Ok(())
    }

    /// Ends containerd with `signal`; everything it runs goes on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self, signal: Signal) -> Result<()> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut running) = child.take() else { bail!("containerd does not run") };
        kill(Pid::from_raw(i32::try_from(running.id())?), signal)?;
        poll("containerd's end", Duration::from_secs(20), || Ok(running.try_wait()?.map(drop)))
    }

    /// Starts it, for the first time or again.
    ///
    /// # Errors
    /// When it does not answer, with what it logged.
    pub fn resume(&self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let program = self.install.bin.join("containerd");
        let mut child = self
            .service(&program)?
            .arg("--config")
            .arg(self.scope.dir.join("config.toml"))
            .env("LIGHTER_CACHE", self.cache())
            .env("WASMEDGE_PLUGIN_PATH", self.scope.dir.join(PLUGINS))
            .env("TMPDIR", self.scope.dir.join("tmp"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let up = poll("containerd to answer", Duration::from_secs(20), || {
            if let Some(status) = child.try_wait()? {
                bail!("containerd ended at once: {status}");
            }
            // It listens before it serves; only an answer counts.
            let listens = UnixStream::connect(self.socket()).is_ok();
            Ok((listens && run(&mut self.ctr(["version"]))?.code == 0).then_some(()))
        });
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        up.with_context(|| self.log_tail(0))
    }

    /// A command that executes `program` as a service of the scope: in its network, marked, with our shim first in
    /// `PATH`.
    pub(crate) fn service(&self, program: &Path) -> Result<Command> {
        let mut path = env::join_paths([&self.scope.dir.join("bin"), &self.install.bin])?;
        path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut command = match &self.net {
            Some(net) => net.command(program),
            None => Command::new(program),
        };
        command.env("PATH", path).env(MARK, &self.scope.tag);
        Ok(command)
    }

    /// Starts it again if it ended unexpectedly; returns whether it did.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn revive(&self) -> Result<bool> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = child.as_mut().map(Child::try_wait).transpose()?.is_some_and(|status| status.is_none());
        drop(child);
        if !runs {
            self.resume()?;
        }
        Ok(!runs)
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<i32> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(i32::try_from(child.as_ref().context("containerd does not run")?.id())?)
    }

    /// The current length of containerd's log, in bytes.
    pub fn log_mark(&self) -> usize {
        fs::metadata(self.log_path()).map_or(0, |log| usize::try_from(log.len()).unwrap_or(usize::MAX))
    }

    /// The last lines that containerd logged after `mark`, without those of the levels debug and info.
    pub fn log_tail(&self, mark: usize) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(log.get(mark..).unwrap_or_default()).into_owned();
        let chatty = |line: &str| ["level=debug", "level=info"].iter().any(|level| line.contains(level));
        let lines: Vec<&str> = text.lines().filter(|line| !chatty(line)).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Where our shim caches compiled code.
    pub fn cache(&self) -> PathBuf {
        self.scope.dir.join("cache")
    }

    /// containerd's gRPC socket.
    pub fn socket(&self) -> PathBuf {
        self.scope.dir.join("c.sock")
    }

    fn log_path(&self) -> PathBuf {
        self.scope.dir.join("containerd.log")
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Err(error) = self.scope.sweep() {
            eprintln!("cleaning up after containerd {}: {error:#}", self.install.version);
        }
        // Killed by the sweep; only their zombies are left to reap.
        drop(self.docker.take());
        if let Some(mut child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(child.wait());
        }
        let dead = self.scope.dead_sockets().into_iter().filter(|socket| !self.others.contains(socket));
        dead.for_each(|socket| drop(fs::remove_file(socket)));
        interrupt::swept(&self.scope);
    }
}

fn digits(install: &Install) -> String {
    install.version.replace('.', "")
}
