//! The lives of the processes that the nursery bears. Each ends here; none goes back to the loop.

mod errand;
mod guest;
mod program;
mod telling;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context;
use container::bare;
use container::birth;
use container::channel::Channel;
use container::inside::Inside;
use container::namespaces::Namespaces;

use super::inheritance::Inheritance;
use crate::payload::{
    Birth, Entrance, ExecGuest, ExecProgram, HostFd, LineFd, NewGuest, PidFd, Report, Request, send,
};
use telling::{PANICKED, go_in, report_failure};

/// Lives the life that is asked for, and ends the process.
pub fn live(birth: Birth<OwnedFd>, inheritance: &Inheritance) -> ! {
    let Birth { line: LineFd(line), host, request } = birth;
    let line = Channel::from(line);
    if let Some(HostFd(host)) = host
        && let Err(error) = bare::enter_host(host)
    {
        birth::exit_now(report_failure(&line, error));
    }
    let life = AssertUnwindSafe(|| match request {
        Request::Wasm(guest) => wasm(guest, line, inheritance),
        Request::ExecGuest(exec) => exec_guest(exec, line, inheritance),
        Request::ExecProgram(exec) => exec_program(exec, &line),
        Request::Logger(logger) => program::logger(logger, line),
        errand => errand::run(errand, &line, inheritance),
    });
    // A panic must not unwind into the nursery's loop, whose copy this process is.
    birth::exit_now(catch_unwind(life).unwrap_or(PANICKED))
}

/// A new container.
fn wasm(asked: NewGuest<OwnedFd>, line: Channel, inheritance: &Inheritance) -> i32 {
    let NewGuest { namespaces, joined, cgroup, payload, stdio, files } = asked;
    let born = || -> anyhow::Result<_> {
        let payload = payload.read()?;
        let opened = namespaces.opened(joined);
        if namespaces.need_midwife() {
            opened.enter_before_birth()?;
            if deliver(namespaces.new, cgroup.birth(), &line)? {
                birth::exit_now(0);
            }
        }
        go_in(cgroup)?;
        Ok((payload, opened))
    };
    match born() {
        Ok((payload, opened)) => {
            let home = guest::Home::New(&namespaces, opened);
            guest::live(home, payload, line, stdio, files, inheritance)
        }
        Err(error) => report_failure(&line, error),
    }
}

/// One more guest in a container.
fn exec_guest(asked: ExecGuest<OwnedFd>, line: Channel, inheritance: &Inheritance) -> i32 {
    let ExecGuest { namespaces, pid, first, cgroup, payload, stdio, files } = asked;
    let entered = || -> anyhow::Result<_> {
        let payload = payload.read()?;
        let inside = inside(&namespaces, pid, first, cgroup, &line)?;
        Ok((payload, inside))
    };
    match entered() {
        Ok((payload, inside)) => {
            guest::live(guest::Home::There(inside), payload, line, stdio, files, inheritance)
        }
        Err(error) => report_failure(&line, error),
    }
}

/// A Linux program in a container.
fn exec_program(asked: ExecProgram<OwnedFd>, line: &Channel) -> i32 {
    let ExecProgram { namespaces, pid, first, cgroup, workload, stdio } = asked;
    let entered = || -> anyhow::Result<_> {
        let workload = workload.read()?;
        let inside = inside(&namespaces, pid, first, cgroup, line)?;
        Ok((workload, inside))
    };
    match entered() {
        Ok((workload, inside)) => program::live(&workload, &inside, line, stdio),
        Err(error) => report_failure(line, error),
    }
}

/// Finds the way into a container, by way of a midwife where there must be one, and goes into its cgroup.
fn inside(
    namespaces: &Namespaces,
    pid: i32,
    PidFd(first): PidFd<OwnedFd>,
    cgroup: Entrance<OwnedFd>,
    line: &Channel,
) -> anyhow::Result<Inside> {
    let inside = Inside::of(namespaces, pid, first)?;
    if Inside::needs_midwife(namespaces) {
        inside.enter_before_birth()?;
        if deliver(0, None, line)? {
            birth::exit_now(0);
        }
    }
    go_in(cgroup)?;
    Ok(inside)
}

/// Gives birth to the process that is meant, in the namespaces that this one entered, and tells of it
/// before the newborn says anything. `false` in the newborn.
fn deliver(namespaces: i32, cgroup: Option<BorrowedFd<'_>>, line: &Channel) -> anyhow::Result<bool> {
    let (told, tell) = Channel::pair()?;
    let Some(born) = birth::sibling(namespaces, cgroup).context("cannot make a process")? else {
        drop(tell);
        // Ends when this process's mother does, whatever she has managed to say.
        let _ = told.receive::<()>();
        return Ok(false);
    };
    send(line, Report::Delivered(born.pid, PidFd(born.pidfd.as_fd())))?;
    drop(tell);
    Ok(true)
}
