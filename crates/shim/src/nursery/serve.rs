//! The nursery's own loop: single-threaded, idle, its memory shared with every process it bears.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::Context;
use container::birth::{self, Born};
use container::channel::Channel;
use container::seccomp::Filter;

use super::births;
use crate::engines::Engines;
use crate::payload::{Reply, Request};

/// What every process born here inherits, set up before the first request.
pub struct Inheritance {
    pub engines: Engines,
    pub filter: Filter,
}

/// Serves requests until the daemon is gone; in each process born, lives that process's life.
pub fn serve(daemon: Channel) -> ! {
    // The log's descriptor is closed. What goes wrong is told to the daemon, who logs.
    log::set_max_level(log::LevelFilter::Off);
    let inheritance = match set_up() {
        Ok(inheritance) => inheritance,
        Err(error) => refuse_all(&daemon, &format!("{error:#}")),
    };
    let (request, line, fds) = loop {
        let (request, fds) = next(&daemon);
        let mut fds = VecDeque::from(fds);
        let Some(line) = fds.pop_front().map(Channel::from) else {
            answer(
                &daemon,
                &Reply::Failed("a request lost its descriptors; are too many files open?".into()),
                None,
            );
            continue;
        };
        match bear(&request) {
            Ok(None) => break (request, line, fds),
            Ok(Some(born)) => answer(&daemon, &Reply::Born(born.pid), Some(born.pidfd)),
            Err(error) => answer(&daemon, &Reply::Failed(format!("{error:#}")), None),
        }
    };
    // The daemon must see the nursery's end when the nursery ends, not when the last guest does.
    drop(daemon);
    births::live(&request, line, fds, &inheritance)
}

fn set_up() -> anyhow::Result<Inheritance> {
    // A nursery without its daemon serves nobody.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("cannot tie the nursery's life to the daemon's")?;
    Ok(Inheritance { engines: Engines::set_up()?, filter: Filter::compile()? })
}

/// Without engines there is nothing to bear; each Create says why.
fn refuse_all(daemon: &Channel, sentence: &str) -> ! {
    loop {
        let _ = next(daemon);
        answer(daemon, &Reply::Failed(sentence.to_owned()), None);
    }
}

/// Only a Wasm box is born into namespaces; the others do their work in the host's.
fn bear(request: &Request) -> anyhow::Result<Option<Born>> {
    let flags = match request {
        Request::Wasm(namespaces) if !namespaces.need_midwife() => namespaces.new,
        _ => 0,
    };
    birth::sibling(flags).context("cannot make a process")
}

fn next(daemon: &Channel) -> (Request, Vec<OwnedFd>) {
    match daemon.receive() {
        Ok(Some(message)) => message,
        // The daemon closed its end, or speaks what this build does not: it is not ours any more.
        Ok(None) | Err(_) => birth::exit_now(0),
    }
}

fn answer(daemon: &Channel, reply: &Reply, pidfd: Option<OwnedFd>) {
    let fds: Vec<_> = pidfd.iter().map(AsFd::as_fd).collect();
    if daemon.send(reply, &fds).is_err() {
        birth::exit_now(0);
    }
}
