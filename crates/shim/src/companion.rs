//! The daemon's program, which lies beside the one that containerd executes; and what this one is called.
//!
//! Users choose an engine by the name of the runtime, that is of the file that containerd executes:
//! `containerd-shim-ENGINE-v1`. There may be a daemon's program for it alone, `lighter-daemon-ENGINE`.

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
/// Where `make install` puts it.
const INSTALLED: &str = "/usr/local/bin";
/// The engine in the name of this project's own runtime: none.
const OWN: &str = "lighter";

/// Executes it as containerd has executed this program: same name, same arguments, but little of the environment.
/// `how` says whether it takes this program's place. What it is executed from nobody can write to, see [`sealed`].
///
/// # Errors
/// Names the file that cannot be executed.
pub fn execute<T>(how: impl FnOnce(&mut Command) -> io::Result<T>) -> anyhow::Result<T> {
    let path = path(&env::current_exe().context("cannot tell where this program lies")?)?;
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

/// Where the daemon of `this` program is: beside it, or, where somebody has copied this one alone, the first of the same
/// build among where it is installed and the folders of `PATH`.
fn path(this: &Path) -> anyhow::Result<PathBuf> {
    let own = called().map(|choice| format!("{NAME}-{}", choice.engine));
    let names = || own.as_deref().into_iter().chain([NAME]);
    let beside = names().map(|name| this.with_file_name(name)).find(|path| path.exists());
    if let Some(beside) = beside {
        return Ok(beside);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let folders = iter::once(PathBuf::from(INSTALLED)).chain(env::split_paths(&folders));
    let elsewhere = folders.filter(|folder| folder.is_absolute());
    let elsewhere = elsewhere.flat_map(|folder| names().map(move |name| folder.join(name)));
    let there: Vec<_> = elsewhere.filter(|path| path.exists()).collect();
    if let Some(same) = there.iter().find(|path| is_of_this_build(path)) {
        return Ok(same.clone());
    }
    let missed = this.with_file_name(NAME);
    let others = there.iter().map(|path| format!("; {} is of another build", path.display()));
    bail!("there is no {}, which belongs beside this program{}", missed.display(), others.collect::<String>())
}

fn is_of_this_build(daemon: &Path) -> bool {
    let said = Command::new(daemon).arg("-version").stdin(Stdio::null()).env_clear().output();
    said.is_ok_and(|said| {
        said.status.success() && String::from_utf8_lossy(&said.stdout).lines().any(|line| line == build())
    })
}

/// The line that tells one build from another.
pub fn build() -> String {
    format!("  Build: {}", env!("LIGHTER_BUILD"))
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
        assert_eq!(engine("containerd-shim-fast-v1"), Some("fast".into()));
        assert_eq!(engine("containerd-shim-small-v2"), Some("small".into()));
        for any in
            ["containerd-shim-lighter-v1", "containerd-shim-wasm-v1", "lighter-daemon", "containerd-shim"]
        {
            assert_eq!(engine(any), None, "{any}");
        }
    }
}
