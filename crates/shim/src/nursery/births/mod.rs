//! The lives of the processes that the nursery bears. Each ends here; none goes back to the loop.

mod errand;
mod guest;
mod program;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context;
use container::bare;
use container::birth;
use container::cgroup::{Way, go_through};
use container::channel::Channel;
use container::inside::Inside;
use container::namespaces::Namespaces;

use super::serve::Inheritance;
use crate::payload::{Payload, Report, Request, read};

/// Lives the life that `request` asks for, and ends the process.
pub fn live(request: &Request, line: Channel, mut fds: VecDeque<OwnedFd>, inheritance: &Inheritance) -> ! {
    if request.is_of_host()
        && let Err(error) = take(&mut fds).and_then(bare::enter_host)
    {
        birth::exit_now(report_failure(&line, error));
    }
    let life = AssertUnwindSafe(|| match request {
        Request::Wasm { namespaces, cgroup } => wasm(namespaces, *cgroup, line, fds, inheritance),
        Request::Exec { pid, cgroup, .. } => exec(*pid, *cgroup, line, fds, inheritance),
        Request::Logger { command, env } => program::logger(command, env, line, fds),
        _ => errand::run(request, &line, fds, inheritance),
    });
    // A panic must not unwind into the nursery's loop, whose copy this process is.
    birth::exit_now(catch_unwind(life).unwrap_or(PANICKED))
}

/// The status of a process that ended by a fault of this program: EX_SOFTWARE.
const PANICKED: i32 = 70;

/// A new container.
fn wasm(
    namespaces: &Namespaces,
    cgroup: Way,
    line: Channel,
    mut fds: VecDeque<OwnedFd>,
    inheritance: &Inheritance,
) -> i32 {
    let mut born = || -> anyhow::Result<_> {
        let entry = take_entry(cgroup, &mut fds);
        let Payload { workload, guest } = read(take(&mut fds)?)?;
        let with_path = namespaces.with_path().min(fds.len());
        let opened = namespaces.opened(fds.drain(..with_path));
        if namespaces.need_midwife() {
            opened.enter_before_birth()?;
            if deliver(namespaces.new, entry.first().filter(|_| cgroup == Way::Birth), &line)? {
                birth::exit_now(0);
            }
        }
        go_in(cgroup, entry)?;
        Ok((workload, guest.context("a Wasm container without a guest")?, opened))
    };
    match born() {
        Ok((workload, guest, opened)) => {
            guest::live(guest::Home::New(namespaces, opened), workload, guest, line, fds, inheritance)
        }
        Err(error) => report_failure(&line, error),
    }
}

/// One more process in a container.
fn exec(pid: i32, cgroup: Way, line: Channel, mut fds: VecDeque<OwnedFd>, inheritance: &Inheritance) -> i32 {
    let mut opened = || -> anyhow::Result<_> {
        let entry = take_entry(cgroup, &mut fds);
        let (payload, pidfd): (Payload, _) = (read(take(&mut fds)?)?, take(&mut fds)?);
        let namespaces = Namespaces::of(&payload.workload.spec);
        let inside = Inside::of(&namespaces, pid, pidfd)?;
        if Inside::needs_midwife(&namespaces) {
            inside.enter_before_birth()?;
            if deliver(0, None, &line)? {
                birth::exit_now(0);
            }
        }
        go_in(cgroup, entry)?;
        Ok((payload, inside))
    };
    match opened() {
        Ok((Payload { workload, guest: None }, inside)) => program::live(&workload, &inside, &line, fds),
        Ok((Payload { workload, guest: Some(guest) }, inside)) => {
            guest::live(guest::Home::There(inside), workload, guest, line, fds, inheritance)
        }
        Err(error) => report_failure(&line, error),
    }
}

/// Gives birth to the process that is meant, in the namespaces that this one entered, and tells of it
/// before the newborn says anything. `false` in the newborn.
fn deliver(namespaces: i32, cgroup: Option<&OwnedFd>, line: &Channel) -> anyhow::Result<bool> {
    let (told, tell) = Channel::pair()?;
    let Some(born) = birth::sibling(namespaces, cgroup.map(AsFd::as_fd)).context("cannot make a process")?
    else {
        drop(tell);
        // Ends when this process's mother does, whatever she has managed to say.
        let _ = told.receive::<()>();
        return Ok(false);
    };
    line.send(&Report::Delivered(born.pid), &[born.pidfd.as_fd()])?;
    drop(tell);
    Ok(true)
}

/// What the process needs to come into its cgroup.
fn take_entry(cgroup: Way, fds: &mut VecDeque<OwnedFd>) -> Vec<OwnedFd> {
    let handed = cgroup.descriptors().min(fds.len());
    fds.drain(..handed).collect()
}

/// Comes into the cgroup, if that is left to the process.
fn go_in(cgroup: Way, entry: Vec<OwnedFd>) -> anyhow::Result<()> {
    match cgroup {
        Way::Doors(_) => go_through(entry),
        Way::Birth | Way::Outside => Ok(()),
    }
}

fn report_failure(line: &Channel, error: anyhow::Error) -> i32 {
    line.send(&failed(error), &[]).map_or(1, |()| 0)
}

fn failed(error: anyhow::Error) -> Report {
    Report::Failed(sentence(error))
}

/// One, short enough for a message.
fn sentence(error: anyhow::Error) -> String {
    const ENOUGH: usize = 8 << 10;
    let mut sentence = format!("{error:#}");
    if let Some((cut, _)) = sentence.char_indices().find(|(at, _)| *at >= ENOUGH) {
        sentence.truncate(cut);
        sentence.push('…');
    }
    sentence
}

fn take(fds: &mut VecDeque<OwnedFd>) -> anyhow::Result<OwnedFd> {
    fds.pop_front().context("a request came without all its descriptors")
}

fn take_three(fds: &mut VecDeque<OwnedFd>) -> anyhow::Result<[OwnedFd; 3]> {
    Ok([take(fds)?, take(fds)?, take(fds)?])
}
