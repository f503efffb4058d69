//! The nursery's own loop: single-threaded, idle, its memory shared with every process it bears.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use container::bare;
use container::birth::{self, Born};
use container::channel::Channel;
use container::compiler;
use container::seccomp::Filter;
use container::title::Layout;

use super::births;
use super::inheritance::Inheritance;
use crate::engines::Engines;
use crate::payload::{Birth, PidFd, Reply, Request, received, send};
use crate::socket;

/// Serves requests until the daemon is gone; in each process born, lives that process's life.
pub fn serve(daemon: Channel, socket: &Path) -> ! {
    // The log's descriptor is closed. What goes wrong is told to the daemon, who logs.
    log::set_max_level(log::LevelFilter::Off);
    let inheritance = match set_up(socket) {
        Ok(inheritance) => inheritance,
        Err(error) => refuse_all(&daemon, socket, &format!("{error:#}")),
    };
    answer(&daemon, Reply::Ready(inheritance.engines.fingerprint()));
    let birth = loop {
        let asked = next(&daemon, socket).and_then(|birth| Ok((bear(&birth.request)?, birth)));
        match asked {
            Ok((None, birth)) => break birth,
            Ok((Some(Born { pid, pidfd }), _)) => answer(&daemon, Reply::Born(pid, PidFd(pidfd.as_fd()))),
            Err(error) => answer(&daemon, Reply::Failed(format!("{error:#}"))),
        }
    };
    // The daemon must see the nursery's end when the nursery ends, not when the last guest does.
    drop(daemon);
    births::live(birth, &inheritance)
}

fn set_up(socket: &Path) -> anyhow::Result<Inheritance> {
    // While the host's files are in sight: plug-ins of engines are among them.
    let engines = Engines::set_up()?;
    let layout = Layout::look()?;
    bare::leave_host(socket.parent().unwrap_or(Path::new("/")))?;
    Ok(Inheritance { engines, filter: Filter::compile(&[])?, layout })
}

/// Without engines there is nothing to bear; the daemon is told why, and asks for nothing.
fn refuse_all(daemon: &Channel, socket: &Path, sentence: &str) -> ! {
    answer(daemon, Reply::Failed(sentence.to_owned()));
    loop {
        let _ = next(daemon, socket);
    }
}

/// Boxes are born into namespaces, a guest's and the compiler's; the others do their work in the host's.
fn bear(request: &Request<OwnedFd>) -> anyhow::Result<Option<Born>> {
    let (flags, cgroup) = match request {
        Request::Wasm(guest) if !guest.namespaces.need_midwife() => {
            (guest.namespaces.new, guest.cgroup.birth())
        }
        Request::Prepare(prepare) => (compiler::NAMESPACES, prepare.cgroup.birth()),
        _ => (0, None),
    };
    birth::sibling(flags, cgroup).context("cannot make a process")
}

/// The next request, unless a descriptor of it is missing.
fn next(daemon: &Channel, socket: &Path) -> anyhow::Result<Birth<OwnedFd>> {
    match daemon.receive::<Birth>() {
        Ok(Some((birth, fds))) => received(birth, fds),
        // The daemon is gone, or speaks what this build does not: it is not ours any more.
        Ok(None) | Err(_) => {
            remove_socket_of_the_dead(socket);
            birth::exit_now(0)
        }
    }
}

/// When the daemon was killed nobody else may come to remove its socket: containerd's clean-up needs the
/// bundle, which a failed Create has taken away by then. The kernel closes a dead process's files last
/// opened first, so for a moment the socket still looks alive.
fn remove_socket_of_the_dead(socket: &Path) {
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        // What cannot be removed now may be in a moment; after that it is the next start's to replace.
        let _ = socket::remove_if_dead(socket);
        if !socket.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn answer(daemon: &Channel, reply: Reply<BorrowedFd<'_>>) {
    // A daemon that is gone is noticed when the next request is awaited.
    let _ = send(daemon, reply);
}
