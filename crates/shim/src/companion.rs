//! The daemon's program, which lies beside the one that containerd executes.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

const NAME: &str = "lighter-daemon";

/// A command that runs it as containerd has run this program: same name, same arguments, same surroundings.
///
/// # Errors
/// When this program's own file cannot be told.
pub fn command() -> anyhow::Result<Command> {
    let mut args = env::args_os();
    let mut command = Command::new(path()?);
    command.arg0(args.next().unwrap_or_default()).args(args);
    Ok(command)
}

/// Where it is.
///
/// # Errors
/// See [`command`].
pub fn path() -> anyhow::Result<PathBuf> {
    Ok(env::current_exe().context("cannot tell where this program lies")?.with_file_name(NAME))
}
