//! The daemon's program, which lies beside the one that containerd executes; and what this one is called.
//!
//! Users choose an engine by the name of the runtime, that is of the file that containerd executes:
//! `containerd-shim-ENGINE-v1`. There may be a daemon's program for it alone, `lighter-daemon-ENGINE`.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use anyhow::Context;
use container::sealed;
use workload::Choice;

use crate::{code, events};

const NAME: &str = "lighter-daemon";
/// The engine in the name of this project's own runtime: none.
const OWN: &str = "lighter";
/// Environment variables that say something to the daemon: where containerd takes events, and systemd orders; where the
/// cache is. All else that containerd was given, secrets among it, is not its business, nor that of its children.
const HEARD: [&str; 3] = [events::ADDRESS, "DBUS_SYSTEM_BUS_ADDRESS", code::ENVIRONMENT];

/// Executes it as containerd has executed this program: same name, same arguments, but little of the environment.
/// `how` says whether it takes this program's place. What it is executed from nobody can write to, see [`sealed`].
///
/// # Errors
/// Names the file that cannot be executed.
pub fn execute<T>(how: impl FnOnce(&mut Command) -> io::Result<T>) -> anyhow::Result<T> {
    let path = path()?;
    let executed = || -> anyhow::Result<T> {
        let file = sealed::open(&path)?;
        let mut args = env::args_os();
        let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        command.arg0(args.next().unwrap_or_default()).args(args);
        command.env_clear().envs(HEARD.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        Ok(how(&mut command)?)
    };
    executed().with_context(|| format!("cannot execute {}; it belongs beside this program", path.display()))
}

/// Where it is.
fn path() -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("cannot tell where this program lies")?;
    let own = called().map(|choice| this.with_file_name(format!("{NAME}-{}", choice.engine)));
    Ok(own.filter(|own| own.exists()).unwrap_or_else(|| this.with_file_name(NAME)))
}

/// The engine that this program is called by.
pub fn called() -> Option<Choice> {
    let path = env::args_os().next()?;
    engine_of(Path::new(&path).file_name()?.to_str()?)
}

fn engine_of(file: &str) -> Option<Choice> {
    let (engine, _) = file.strip_prefix("containerd-shim-")?.rsplit_once("-v")?;
    Choice::of(engine, format!("the runtime's name {file}")).filter(|choice| choice.engine != OWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtimes_name_chooses_an_engine() {
        let engine = |file: &str| engine_of(file).map(|choice| choice.engine);
        assert_eq!(engine("containerd-shim-wasmedge-v1"), Some("wasmedge".into()));
        assert_eq!(engine("containerd-shim-wasmtime-v2"), Some("wasmtime".into()));
        for any in
            ["containerd-shim-lighter-v1", "containerd-shim-wasm-v1", "lighter-daemon", "containerd-shim"]
        {
            assert_eq!(engine(any), None, "{any}");
        }
    }
}
