//! The lives of Linux programs that the nursery bears: one executed in a container, and a logger.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, anyhow, bail};
use container::channel::Channel;
use container::inside::Inside;
use container::program::take_numbers;
use container::{exec, wasm_box};
use workload::Workload;

use super::{report_failure, take_three};
use crate::payload::{Order, Report};

/// Becomes the program of an exec; comes back only when it could not.
pub fn live(workload: &Workload, inside: &Inside, line: &Channel, fds: VecDeque<OwnedFd>) -> i32 {
    // What a shell answers for a program that cannot be executed.
    const CANNOT_EXECUTE: i32 = 126;
    let failed = become_program(workload, inside, line, fds);
    let _ = report_failure(line, failed);
    CANNOT_EXECUTE
}

/// The line closes when the program begins: that is how the daemon knows it does.
fn become_program(
    workload: &Workload,
    inside: &Inside,
    line: &Channel,
    mut fds: VecDeque<OwnedFd>,
) -> anyhow::Error {
    let mut prepared = || -> anyhow::Result<_> {
        wasm_box::replace_stdio(take_three(&mut fds)?)?;
        line.send(&Report::Joined, &[])?;
        let Some((Order::Enter, _)) = line.receive()? else { bail!("the exec was given up") };
        let entered = exec::enter(workload, inside)?;
        if let Some(terminal) = &entered.terminal {
            line.send(&Report::Terminal, &[terminal.as_fd()])?;
        }
        exec::prepare(workload, entered)
    };
    match prepared() {
        Ok(program) => anyhow!(program.execute()),
        Err(error) => error,
    }
}

/// Becomes the program that reads a container's output, from its descriptors 3 to 5 on.
pub fn logger(
    command: &[String],
    env: &[(String, String)],
    line: Channel,
    mut fds: VecDeque<OwnedFd>,
) -> i32 {
    const FIRST: i32 = 3;
    let mut failed = || -> anyhow::Result<()> {
        let (path, args) = command.split_first().context("the logger has no path")?;
        take_numbers(FIRST, take_three(&mut fds)?)?;
        let error = Command::new(path).args(args).env_clear().envs(env.iter().cloned()).exec();
        Err(error).with_context(|| format!("cannot execute the logger {path}"))
    };
    // The line must not have one of the numbers.
    match line.above(FIRST + 3) {
        Ok(line) => failed().map_or_else(|error| report_failure(&line, error), |()| 0),
        Err(_) => 1,
    }
}
