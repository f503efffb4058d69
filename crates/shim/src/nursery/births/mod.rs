//! The code of the processes that the nursery spawns. Each exits here; none returns to the nursery's loop.

mod errand;
mod guest;
mod program;
mod report;

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
    Birth, Entrance, ExecGuest, ExecProgram, HostFd, LineFd, NewGuest, NurseryRequest, PidFd, Report, send,
};
use report::{PANICKED, enter_cgroup, report_failure};

/// Runs the requested kind of process, and exits.
pub fn live(birth: Birth<OwnedFd>, inheritance: &Inheritance) -> ! {
    let Birth { line: LineFd(line), host, request } = birth;
    let line = Channel::from(line);
    if let Some(HostFd(host)) = host
        && let Err(error) = bare::enter_host(host)
    {
        birth::exit_now(report_failure(&line, error));
    }
    let life = AssertUnwindSafe(|| match request {
        NurseryRequest::Wasm(guest) => wasm(guest, line, inheritance),
        NurseryRequest::ExecGuest(exec) => exec_guest(exec, line, inheritance),
        NurseryRequest::ExecProgram(exec) => exec_program(exec, &line),
        NurseryRequest::Logger(logger) => program::logger(logger, line),
        errand => errand::run(errand, &line, inheritance),
    });
    // A panic must not unwind into the nursery's loop, since this process is a fork of the nursery.
    birth::exit_now(catch_unwind(life).unwrap_or(PANICKED))
}

/// Becomes the guest of a new container.
fn wasm(request: NewGuest<OwnedFd>, line: Channel, inheritance: &Inheritance) -> i32 {
    let NewGuest { namespaces, joined, cgroup, payload, stdio, files } = request;
    let born = || -> anyhow::Result<_> {
        let payload = payload.read()?;
        let opened = namespaces.opened(joined);
        if namespaces.need_midwife() {
            opened.enter_before_birth()?;
            if deliver(namespaces.new, cgroup.directory(), &line)? {
                birth::exit_now(0);
            }
        }
        enter_cgroup(cgroup)?;
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

/// Becomes another guest in a container.
fn exec_guest(request: ExecGuest<OwnedFd>, line: Channel, inheritance: &Inheritance) -> i32 {
    let ExecGuest { namespaces, pid, first, cgroup, payload, stdio, files } = request;
    let entered = || -> anyhow::Result<_> {
        let payload = payload.read()?;
        let inside = inside(&namespaces, pid, first, cgroup, &line)?;
        Ok((payload, inside))
    };
    match entered() {
        Ok((payload, inside)) => {
            guest::live(guest::Home::Existing(inside), payload, line, stdio, files, inheritance)
        }
        Err(error) => report_failure(&line, error),
    }
}

/// Becomes a Linux program in a container.
fn exec_program(request: ExecProgram<OwnedFd>, line: &Channel) -> i32 {
    let ExecProgram { namespaces, pid, first, cgroup, workload, stdio } = request;
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

/// Opens a container's namespaces, gives birth through a midwife if they require it, and enters its cgroup.
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
    enter_cgroup(cgroup)?;
    Ok(inside)
}

/// As the midwife, gives birth to the actual process in the namespaces that this one has entered, and reports it before
/// the new process sends anything. Returns `false` in the new process.
fn deliver(namespaces: i32, cgroup: Option<BorrowedFd<'_>>, line: &Channel) -> anyhow::Result<bool> {
    let (wait, release) = Channel::pair()?;
    let Some(born) = birth::sibling(namespaces, cgroup).context("cannot make a process")? else {
        drop(release);
        // Returns when the midwife has sent its report, or exited.
        let _ = wait.receive::<()>();
        return Ok(false);
    };
    send(line, Report::Delivered(born.pid, PidFd(born.pidfd.as_fd())))?;
    drop(release);
    Ok(true)
}
