//! The nursery's loop: single-threaded and idle; its memory is shared with every process that it spawns.

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
use crate::payload::{Birth, NurseryReply, NurseryRequest, PidFd, received, send};
use crate::socket;

/// Serves requests until the daemon is gone. In each new process, it runs that process's code instead.
pub fn serve(daemon: Channel, socket: &Path) -> ! {
    // The log's descriptor is closed. Errors are sent to the daemon, which logs them.
    log::set_max_level(log::LevelFilter::Off);
    let inheritance = match set_up(socket) {
        Ok(inheritance) => inheritance,
        Err(error) => refuse_all(&daemon, socket, &format!("{error:#}")),
    };
    answer(&daemon, NurseryReply::Ready(inheritance.engines.fingerprint()));
    let birth = loop {
        let born = next(&daemon, socket).and_then(|birth| Ok((spawn(&birth.request)?, birth)));
        match born {
            Ok((None, birth)) => break birth,
            Ok((Some(Born { pid, pidfd }), _)) => {
                answer(&daemon, NurseryReply::Born(pid, PidFd(pidfd.as_fd())))
            }
            Err(error) => answer(&daemon, NurseryReply::Failed(format!("{error:#}"))),
        }
    };
    // The daemon must see EOF when the nursery exits, not when the last guest does.
    drop(daemon);
    births::live(birth, &inheritance)
}

fn set_up(socket: &Path) -> anyhow::Result<Inheritance> {
    // While the host's files are visible, since they include the engines' plug-ins.
    let engines = Engines::set_up()?;
    let layout = Layout::look()?;
    bare::leave_host(socket.parent().unwrap_or(Path::new("/")))?;
    Ok(Inheritance { engines, filter: Filter::compile(&[])?, layout })
}

/// Without engines nothing can run: sends the daemon the error, after which it sends no requests.
fn refuse_all(daemon: &Channel, socket: &Path, sentence: &str) -> ! {
    answer(daemon, NurseryReply::Failed(sentence.to_owned()));
    loop {
        let _ = next(daemon, socket);
    }
}

/// Forks the process; `None` in the child. Guests and compilers are born into new namespaces, all others into the
/// host's.
fn spawn(request: &NurseryRequest<OwnedFd>) -> anyhow::Result<Option<Born>> {
    let (flags, cgroup) = match request {
        NurseryRequest::Wasm(guest) if !guest.namespaces.need_midwife() => {
            (guest.namespaces.new, guest.cgroup.directory())
        }
        NurseryRequest::Prepare(prepare) => (compiler::NAMESPACES, prepare.cgroup.directory()),
        _ => (0, None),
    };
    birth::sibling(flags, cgroup).context("cannot make a process")
}

/// The next request; an error if a descriptor is missing.
fn next(daemon: &Channel, socket: &Path) -> anyhow::Result<Birth<OwnedFd>> {
    match daemon.receive::<Birth>() {
        Ok(Some((birth, fds))) => received(birth, fds),
        // The daemon is gone, or sends what this build does not know: it is not our daemon.
        Ok(None) | Err(_) => {
            remove_socket_of_the_dead(socket);
            birth::exit_now(0)
        }
    }
}

/// Removes the socket of a killed daemon. containerd's clean-up may never do that: it needs the bundle, which a failed
/// Create has removed by then. The kernel closes a dead process's files in reverse order of opening, so the socket
/// still accepts connections for a moment.
fn remove_socket_of_the_dead(socket: &Path) {
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        // On failure it is tried again; after the last try, the next start replaces the socket.
        let _ = socket::remove_if_dead(socket);
        if !socket.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn answer(daemon: &Channel, reply: NurseryReply<BorrowedFd<'_>>) {
    // If the daemon is gone, the next receive returns EOF.
    let _ = send(daemon, reply);
}
