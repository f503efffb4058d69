//! `ctr tasks exec`, as a user types it: another process in a container.

use anyhow::Result;

use crate::containerd::Containerd;
use crate::output::Output;
use crate::process::{Running, run};

/// One `ctr tasks exec`, not started yet.
pub struct Exec<'a> {
    daemon: &'a Containerd,
    id: String,
    exec_id: String,
    flags: Vec<String>,
    args: Vec<String>,
}

impl Containerd {
    /// A process `exec_id` of container `id`.
    pub fn exec(&self, id: &str, exec_id: &str, args: &[impl AsRef<str>]) -> Exec<'_> {
        let args = args.iter().map(|arg| arg.as_ref().into()).collect();
        Exec { daemon: self, id: id.into(), exec_id: exec_id.into(), flags: vec![], args }
    }
}

impl Exec<'_> {
    /// `--flag value`.
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.into(), value.into()]);
        self
    }

    /// Starts it in the foreground.
    ///
    /// # Errors
    /// When `ctr` cannot be started.
    pub fn start(self) -> Result<Running> {
        Running::start(&mut self.command())
    }

    /// Runs it in the foreground with an empty stdin, to its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn finish(self) -> Result<Output> {
        run(&mut self.command())
    }

    /// Runs it at a terminal.
    pub fn at_terminal(mut self) -> std::process::Command {
        self.flags.push("--tty".into());
        self.command()
    }

    /// Starts it in the background.
    ///
    /// # Errors
    /// The output of `ctr`.
    pub fn detached(mut self) -> Result<()> {
        self.flags.push("--detach".into());
        run(&mut self.command())?.ok().map(drop)
    }

    fn command(self) -> std::process::Command {
        let mut command = self.daemon.ctr(["tasks", "exec", "--exec-id", &self.exec_id]);
        if !self.flags.iter().any(|flag| flag == "--log-uri") {
            command.arg("--fifo-dir").arg(self.daemon.scope.dir.join("fifo"));
        }
        command.args(&self.flags).arg(&self.id).args(&self.args);
        command
    }
}
