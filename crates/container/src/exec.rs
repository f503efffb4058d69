//! Executes one more Linux program in a running container, as `runc exec` does. Runs in the process that becomes the
//! program.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, anyhow, ensure};
use libcontainer::syscall::Syscall;
use libcontainer::syscall::syscall::create_syscall;
use libcontainer::{apparmor, capabilities, tty};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chdir, setsid};
use oci_spec::runtime::{LinuxCapabilities, Process};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use workload::Workload;

use crate::inside::Inside;
use crate::program::{self, Prepared};
use crate::rootfs::additions::env_with_home;
use crate::sentence::sentence;
use crate::{keyring, privileges, profile};

/// A process that has entered the container and still has all its privileges.
#[derive(Debug)]
pub struct Entered {
    /// The master side of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    env: Vec<String>,
    granted: LinuxCapabilities,
}

/// Enters the container.
///
/// # Errors
/// A sentence that names the step.
pub fn enter(workload: &Workload, inside: &Inside) -> anyhow::Result<Entered> {
    // Resolved outside, where the image's own /proc, /sys and links have no effect.
    let env = env_with_home(workload);
    let granted = privileges::granted(workload.process());
    setsid().context("cannot make a session")?;
    keyring::join(workload)?;
    privileges::limit(workload.process())?;
    inside.enter()?;
    let terminal = if workload.terminal() { Some(open_terminal(&*create_syscall())?) } else { None };
    Ok(Entered { terminal, env, granted })
}

/// Drops all privileges but those the spec grants, and finds the program.
///
/// # Errors
/// A sentence that names the step, or the missing program.
pub fn prepare(workload: &Workload, entered: Entered) -> anyhow::Result<Prepared> {
    let process = workload.process();
    chdir(process.cwd())
        .with_context(|| format!("cannot enter the working directory {}", process.cwd().display()))?;
    // The container controls where its links lead, those of its /proc included: the result must be below its root.
    ensure!(
        std::env::current_dir().is_ok_and(|here| here.is_absolute()),
        "the working directory {} is outside the container",
        process.cwd().display()
    );
    if let Some(profile) = process.apparmor_profile() {
        apparmor::apply_profile(profile).map_err(|error| anyhow!("{}", sentence(&error)))?;
    }
    give_up_power(workload, &entered.granted, &*create_syscall())?;
    program::find(process, entered.env).map_err(|words| anyhow!(words))
}

/// As runc does: without no_new_privs the filter needs capabilities, so it is installed before they are dropped; else
/// as late as possible.
fn give_up_power(
    workload: &Workload,
    granted: &LinuxCapabilities,
    system: &dyn Syscall,
) -> anyhow::Result<()> {
    let process = workload.process();
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    if !no_new_privileges {
        profile::narrow_program(workload)?;
    }
    become_user(process, system)?;
    capabilities::drop_privileges(granted, system)
        .map_err(|error| anyhow!("cannot drop the capabilities: {}", sentence(&error)))?;
    if no_new_privileges {
        rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")?;
        profile::narrow_program(workload)?;
    }
    Ok(())
}

fn become_user(process: &Process, system: &dyn Syscall) -> anyhow::Result<()> {
    let user = process.user();
    umask(Mode::from_bits_truncate(user.umask().unwrap_or(0o022)));
    privileges::join_groups(user)?;
    system
        .set_id(Uid::from_raw(user.uid()), Gid::from_raw(user.gid()))
        .map_err(|error| anyhow!("cannot become user {}: {}", user.uid(), sentence(&error)))
}

/// Opens a terminal in the container's own devpts, so that `tty` finds its name. libcontainer opens and checks it,
/// and sends the master side through a socket.
fn open_terminal(system: &dyn Syscall) -> anyhow::Result<OwnedFd> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    // setup_console closes the descriptor that it is given.
    let given = nix::unistd::dup(theirs.as_raw_fd())?;
    tty::setup_console(system, given, false)
        .map_err(|error| anyhow!("cannot open a terminal in the container: {}", sentence(&error)))?;
    received(&ours)
}

/// Receives the descriptor that libcontainer sent through a socket.
///
/// # Errors
/// When it sent none.
pub(crate) fn received(socket: &OwnedFd) -> anyhow::Result<OwnedFd> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let buffers = &mut [std::io::IoSliceMut::new(&mut name)];
    recvmsg(socket, buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let sent = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    sent.context("the container's process sent no terminal")
}
