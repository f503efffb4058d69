//! Locates the daemon's program, which is installed next to the one that containerd executes, and evaluates its name.
//!
//! Users choose an engine by the name of the runtime, that is, of the file that containerd executes:
//! `containerd-shim-ENGINE-v1`. An engine may have a daemon program of its own, `lighter-daemon-ENGINE`.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io, iter};

use anyhow::{Context, bail};
use container::sealed;
use workload::Choice;

use crate::environment::PASSED_ON;

const NAME: &str = "lighter-daemon";
/// The directory that `make install` uses.
const INSTALLED: &str = "/usr/local/bin";
/// The name of this project's own runtime, which chooses no engine.
const OWN: &str = "lighter";

/// Executes the daemon's program with this program's name and arguments and a reduced environment. `how` decides
/// whether it replaces this process. It is executed from a read-only mount, see [`sealed`].
///
/// # Errors
/// Names the file that cannot be executed.
pub fn execute<T>(how: impl FnOnce(&mut Command) -> io::Result<T>) -> anyhow::Result<T> {
    let path = path(&env::current_exe().context("cannot find the path of this program")?)?;
    let executed = || -> anyhow::Result<T> {
        let file = sealed::open(&path)?;
        let mut args = env::args_os();
        let mut command = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        command.arg0(args.next().unwrap_or_default()).args(args);
        command.env_clear().envs(PASSED_ON.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        Ok(how(&mut command)?)
    };
    executed().with_context(|| format!("cannot execute {}; it belongs beside this program", path.display()))
}

/// The path of the daemon of `this` program: next to it, or, if only this program was copied, the first one of the same
/// build in the installation directory or the directories of `PATH`.
fn path(this: &Path) -> anyhow::Result<PathBuf> {
    let own = called().map(|choice| format!("{NAME}-{}", choice.engine));
    let names = || own.as_deref().into_iter().chain([NAME]);
    let beside = names().map(|name| this.with_file_name(name)).find(|path| path.exists());
    if let Some(beside) = beside {
        return Ok(beside);
    }
    let dirs = env::var_os("PATH").unwrap_or_default();
    let dirs = iter::once(PathBuf::from(INSTALLED)).chain(env::split_paths(&dirs));
    let elsewhere = dirs.filter(|dir| dir.is_absolute());
    let elsewhere = elsewhere.flat_map(|dir| names().map(move |name| dir.join(name)));
    let there: Vec<_> = elsewhere.filter(|path| path.exists()).collect();
    if let Some(same) = there.iter().find(|path| is_of_this_build(path)) {
        return Ok(same.clone());
    }
    let missed = this.with_file_name(NAME);
    let others = there.iter().map(|path| format!("; {} is of another build", path.display()));
    bail!("there is no {}, which belongs beside this program{}", missed.display(), others.collect::<String>())
}

fn is_of_this_build(daemon: &Path) -> bool {
    let output = Command::new(daemon).arg("-version").stdin(Stdio::null()).env_clear().output();
    output.is_ok_and(|output| {
        output.status.success() && String::from_utf8_lossy(&output.stdout).lines().any(|line| line == build())
    })
}

/// The line of `-version` that identifies the build.
pub fn build() -> String {
    format!("  Build: {}", env!("LIGHTER_BUILD"))
}

/// The engine that this program's name chooses.
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
        assert_eq!(engine("containerd-shim-fast-v1"), Some("fast".into()));
        assert_eq!(engine("containerd-shim-small-v2"), Some("small".into()));
        for any in
            ["containerd-shim-lighter-v1", "containerd-shim-wasm-v1", "lighter-daemon", "containerd-shim"]
        {
            assert_eq!(engine(any), None, "{any}");
        }
    }
}
