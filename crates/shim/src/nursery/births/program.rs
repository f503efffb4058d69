//! The processes that become Linux programs: an exec in a container, and a logger.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, anyhow, bail};
use container::channel::Channel;
use container::inside::Inside;
use container::program::take_numbers;
use container::{exec, wasm_box};
use workload::Workload;

use super::report::report_failure;
use crate::payload::{LoggerPipes, NewLogger, Order, Report, Stdio, TerminalFd, send};

/// Becomes the program of an exec; returns only on failure.
pub fn live(workload: &Workload, inside: &Inside, line: &Channel, stdio: Stdio<OwnedFd>) -> i32 {
    // As a shell does for a program that cannot be executed.
    const CANNOT_EXECUTE: i32 = 126;
    let failed = become_program(workload, inside, line, stdio);
    let _ = report_failure(line, failed);
    CANNOT_EXECUTE
}

/// Prepares and executes the program. The line is closed on exec, by which the daemon notices that the program runs.
fn become_program(
    workload: &Workload,
    inside: &Inside,
    line: &Channel,
    stdio: Stdio<OwnedFd>,
) -> anyhow::Error {
    let prepared = || -> anyhow::Result<_> {
        wasm_box::replace_stdio(stdio.in_order())?;
        send(line, Report::Joined)?;
        let Some((Order::Enter, _)) = line.receive::<Order>()? else { bail!("the exec was given up") };
        let entered = exec::enter(workload, inside)?;
        if let Some(terminal) = &entered.terminal {
            send(line, Report::Terminal(TerminalFd(terminal.as_fd())))?;
        }
        exec::prepare(workload, entered)
    };
    match prepared() {
        Ok(program) => anyhow!(program.execute()),
        Err(error) => error,
    }
}

/// Becomes the logger of a container; its pipes become its descriptors 3 to 5.
pub fn logger(logger: NewLogger<OwnedFd>, line: Channel) -> i32 {
    const FIRST: i32 = 3;
    let NewLogger { command, env, pipes: LoggerPipes { stdout, stderr, ready } } = logger;
    let failed = || -> anyhow::Result<()> {
        let (path, args) = command.split_first().context("the logger has no path")?;
        take_numbers(FIRST, [stdout.0, stderr.0, ready.0])?;
        let error = Command::new(path).args(args).env_clear().envs(env).exec();
        Err(error).with_context(|| format!("cannot execute the logger {path}"))
    };
    // The line must not have one of these numbers.
    match line.above(FIRST + 3) {
        Ok(line) => failed().map_or_else(|error| report_failure(&line, error), |()| 0),
        Err(_) => 1,
    }
}
