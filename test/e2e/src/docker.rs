//! A private dockerd on a private containerd, and `docker` to drive it. Its images and containers are in containerd
//! namespaces of the tests, its network in theirs, so that the census finds whatever it leaves, as for `ctr`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::containerd::Containerd;
use crate::image;
use crate::output::Output;
use crate::process::{poll, run};
use crate::runner::{By, Scenario};
use crate::versions;

/// The runtime under test, as the daemon's configuration names it.
pub const RUNTIME: &str = "tested";
/// The same runtime with an options file that denies Linux programs.
pub const GUESTS_ONLY: &str = "guests-only";

/// A running dockerd; sweeping its scope ends it.
pub struct Dockerd {
    bin: PathBuf,
    child: Child,
}

impl Dockerd {
    /// Starts the dockerd that goes with `daemon`.
    ///
    /// # Errors
    /// When it does not answer, with the end of its log.
    pub(crate) fn start(daemon: &Containerd) -> Result<Self> {
        let dir = &daemon.scope.dir;
        let bin = versions::docker(&daemon.install)?;
        write_config(daemon)?;
        let log = File::create(dir.join("dockerd.log"))?;
        let child = daemon
            .service(&bin.join("dockerd"))?
            .arg("--config-file")
            .arg(dir.join("daemon.json"))
            .arg("--containerd")
            .arg(daemon.socket())
            .args(["--containerd-namespace", &daemon.scope.tag])
            .args(["--containerd-plugins-namespace", &format!("{}-plugins", daemon.scope.tag)])
            .args(["--host", &host(daemon)])
            .env("TMPDIR", dir.join("tmp"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", bin.join("dockerd").display()))?;
        let mut dockerd = Self { bin, child };
        let up = poll("dockerd to answer", Duration::from_secs(20), || {
            if let Some(status) = dockerd.child.try_wait()? {
                bail!("dockerd ended at once: {status}");
            }
            Ok((run(&mut dockerd.client(daemon, ["version"]))?.code == 0).then_some(()))
        });
        let log = || fs::read_to_string(dir.join("dockerd.log")).unwrap_or_default();
        up.with_context(|| log().lines().rev().take(5).collect::<Vec<_>>().join("\n"))?;
        Ok(dockerd)
    }

    fn client<S: AsRef<OsStr>>(&self, daemon: &Containerd, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(self.bin.join("docker"));
        command.env("DOCKER_CONFIG", daemon.scope.dir.join("tmp")).args(["--host", &host(daemon)]).args(args);
        command
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Both fail only on a child that is gone, which is what is wanted.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn host(daemon: &Containerd) -> String {
    format!("unix://{}", daemon.scope.dir.join("d.sock").display())
}

/// Writes a configuration that stays within the scope. It makes no firewall rules: no test connects to the outside.
fn write_config(daemon: &Containerd) -> Result<()> {
    let (scope, shim) = (&daemon.scope, &daemon.shim);
    let at = |name: &str| scope.dir.join(name).display().to_string();
    let bin = versions::docker(&daemon.install)?;
    fs::write(at("guests-only.toml"), "LinuxPrograms = \"deny\"\n")?;
    let options = json!({ "TypeUrl": "runtimeoptions.v1.Options", "ConfigPath": at("guests-only.toml") });
    let config = json!({
        "data-root": at("docker"),
        "exec-root": at("docker-exec"),
        "pidfile": at("docker.pid"),
        "cgroup-parent": format!("/{}", scope.tag),
        "features": { "containerd-snapshotter": true },
        "iptables": false,
        "ip6tables": false,
        "ip-masq": false,
        "init-path": bin.join("docker-init"),
        "userland-proxy-path": bin.join("docker-proxy"),
        "runtimes": {
            RUNTIME: { "runtimeType": shim.runtime },
            GUESTS_ONLY: { "runtimeType": shim.runtime, "options": options },
        },
    });
    Ok(fs::write(at("daemon.json"), config.to_string())?)
}

impl Containerd {
    /// `docker`, pointed at the dockerd on this containerd.
    ///
    /// # Errors
    /// When there is none.
    pub fn docker<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Command> {
        Ok(self.docker.as_ref().context("this containerd has no dockerd")?.client(self, args))
    }

    /// `docker run FLAGS IMAGE ARGS` of the test image on the runtime under test.
    ///
    /// # Errors
    /// When there is no dockerd.
    pub fn docker_run(&self, flags: &[&str], args: &[&str]) -> Result<Command> {
        let image = image::name(None);
        let before = ["run", "--runtime", RUNTIME];
        self.docker(before.iter().chain(flags).chain([&image.as_str()]).chain(args))
    }

    /// Runs a `docker` command and returns its output.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn docker_says(&self, args: &[&str]) -> Result<Output> {
        run(&mut self.docker(args)?)
    }

    /// Removes every container.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(crate) fn clear_docker(&self) -> Result<()> {
        let all = self.docker_says(&["ps", "--all", "--quiet"])?.ok()?.stdout;
        let ids: Vec<&str> = all.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.docker_says(&[&["rm", "--force", "--volumes"][..], &ids].concat())?.ok().map(drop)
    }
}

/// A scenario by Docker, for our shim only.
pub fn ours(name: impl Into<String>, check: impl Fn(&Containerd) -> Result<()> + 'static) -> Scenario {
    Scenario { ours: true, ..any(name, check) }
}

/// A scenario by Docker, for any runtime.
pub fn any(name: impl Into<String>, check: impl Fn(&Containerd) -> Result<()> + 'static) -> Scenario {
    Scenario { by: By::Docker, ..Scenario::any(name, check) }
}
