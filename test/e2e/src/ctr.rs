//! `ctr run`, as a user types it: the program, the flags, in the foreground or detached.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use conformance::User;

use crate::containerd::{Containerd, OPTIONS};
use crate::http::Served;
use crate::image;
use crate::net::Net;
use crate::output::Output;
use crate::process::{LIMIT, Running, poll, run};

/// One `ctr run`, not started yet.
pub struct Run<'a> {
    daemon: &'a Containerd,
    id: String,
    flags: Vec<String>,
    /// The argument before the id: an image, or none with a spec file.
    image: Option<String>,
    args: Vec<String>,
}

impl Containerd {
    /// A container `id` of the test image.
    pub fn run(&self, id: &str) -> Run<'_> {
        Run { daemon: self, id: id.into(), flags: vec![], image: Some(image::name(None)), args: vec![] }
    }

    /// A container `id` of a spec file.
    pub fn run_spec(&self, id: &str, spec: &Path) -> Run<'_> {
        Run { image: None, ..self.run(id) }.flag("--config", &spec.display().to_string())
    }

    /// Where a detached container's output goes.
    pub fn output_of(&self, id: &str) -> PathBuf {
        self.scope.dir.join("log").join(id)
    }
}

impl<'a> Run<'a> {
    /// The entrypoint and its arguments.
    pub fn args(mut self, args: &[impl AsRef<str>]) -> Self {
        self.args.extend(args.iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// `--flag value`.
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.into(), value.into()]);
        self
    }

    /// Discards the output.
    pub fn quiet(mut self) -> Self {
        self.flags.push("--null-io".into());
        self
    }

    /// A file of the runtime's options, in place of those of the driver.
    pub fn options(self, file: &Path) -> Self {
        self.flag("--runtime-config-path", &file.display().to_string())
    }

    /// An environment variable, `NAME=value`.
    pub fn env(self, pair: &str) -> Self {
        self.flag("--env", pair)
    }

    /// The working directory.
    pub fn cwd(self, path: &str) -> Self {
        self.flag("--cwd", path)
    }

    /// An annotation of the spec.
    pub fn annotation(self, key: &str, value: &str) -> Self {
        self.flag("--annotation", &format!("{key}={value}"))
    }

    /// A bind mount.
    pub fn bind(self, source: &Path, path: &str, writable: bool) -> Self {
        let rights = if writable { "rw" } else { "ro" };
        self.flag("--mount", &format!("type=bind,src={},dst={path},options=rbind:{rights}", source.display()))
    }

    /// A seccomp profile: that of a file, or containerd's own.
    pub fn seccomp(mut self, profile: Option<&Path>) -> Self {
        self.flags.push("--seccomp".into());
        match profile {
            Some(profile) => self.flag("--seccomp-profile", &profile.display().to_string()),
            None => self,
        }
    }

    /// A read-only root file system.
    pub fn read_only(mut self) -> Self {
        self.flags.push("--read-only".into());
        self
    }

    /// The network of another container.
    pub fn network(self, net: &Net) -> Self {
        self.flag("--with-ns", &format!("network:{}", net.path().display()))
    }

    /// Runs as `user`, by the image that names it.
    pub fn user(self, user: Option<User>) -> Self {
        self.image(&image::name(user))
    }

    /// Another image than the test's.
    pub fn image(mut self, name: &str) -> Self {
        self.image = Some(name.into());
        self
    }

    /// Starts it in the foreground; it is removed when it ends.
    ///
    /// # Errors
    /// When `ctr` cannot be started.
    pub fn start(self) -> Result<Running> {
        Running::start(&mut self.command(&["--rm"]))
    }

    /// Runs it in the foreground with an empty stdin, to its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn finish(self) -> Result<Output> {
        run(&mut self.command(&["--rm"]))
    }

    /// Starts it in the background and waits until it prints `ready`.
    ///
    /// # Errors
    /// When `ctr` fails or the guest is not ready in time.
    pub fn detach(self) -> Result<()> {
        let log = self.daemon.output_of(&self.id);
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let uri = format!("file://{}", log.display());
        run(&mut self.command(&["--detach", "--log-uri", &uri]))?.ok().context("ctr run --detach")?;
        poll("the guest to say `ready`", LIMIT, || Ok(said().contains("ready").then_some(())))
            .with_context(|| format!("it said {:?}", said()))
    }

    /// Runs it at a terminal; it is removed when it ends.
    pub fn at_terminal(self) -> std::process::Command {
        self.command(&["--rm", "--tty"])
    }

    /// The URI of its output.
    pub fn log_uri(self, uri: &str) -> Self {
        self.flag("--log-uri", uri)
    }

    /// Starts it in the background, with its output at `uri`.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn detach_to(self, uri: &str) -> Result<()> {
        run(&mut self.log_uri(uri).command(&["--detach"]))?.ok().context("ctr run --detach").map(drop)
    }

    /// Starts it in the background as a server of HTTP.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn serve(self) -> Result<Served<'a>> {
        let (daemon, id) = (self.daemon, self.id.clone());
        let log = daemon.output_of(&id);
        // Another scenario's container may have had the same name.
        fs::remove_file(&log)
            .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        self.detach_to(&format!("file://{}", log.display()))?;
        Served::of(daemon, &id)
    }

    fn command(&self, how: &[&str]) -> std::process::Command {
        let (scope, shim) = (&self.daemon.scope, &self.daemon.shim);
        let options = shim.is_ours().then(|| scope.dir.join(OPTIONS));
        let mut command = self.daemon.ctr(["run", "--runtime", &shim.runtime]);
        command.args(shim.driver.flags(&scope.tag, &self.id, options.as_deref()));
        command.arg("--fifo-dir").arg(scope.dir.join("fifo")).args(how).args(&self.flags);
        command.args(&self.image).arg(&self.id).args(&self.args);
        command
    }
}
