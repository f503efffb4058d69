//! Pseudo-terminals: the master side for the client, the slave side for a container's process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::Context;
use oci_spec::runtime::Box as Size;
use rustix::fs::Uid;
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Creates a pair: the master side, and the slave side, owned by user `uid`.
///
/// # Errors
/// When the host has no terminals left.
pub fn pair(uid: u32) -> anyhow::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let opened = || -> io::Result<_> {
        let ours = openpt(flags)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let theirs = ioctl_tiocgptpeer(&ours, flags)?;
        rustix::fs::fchown(&theirs, Some(Uid::from_raw(uid)), None)?;
        Ok((ours, theirs))
    };
    opened().context("cannot make a terminal")
}

/// Makes `uid` the owner of the slave side of an open terminal.
///
/// # Errors
/// When it is not a terminal.
pub fn give(ours: impl AsFd, uid: u32) -> io::Result<()> {
    let theirs = ioctl_tiocgptpeer(ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok(rustix::fs::fchown(&theirs, Some(Uid::from_raw(uid)), None)?)
}

/// Sets the window size of a terminal, in characters. Its foreground processes receive SIGWINCH.
///
/// # Errors
/// When it is not a terminal.
pub fn resize(terminal: impl AsFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}

/// Sets the window size that a spec asks for, if it asks for one.
///
/// # Errors
/// When it is not a terminal.
pub fn resize_to(terminal: impl AsFd, size: Option<&Size>) -> io::Result<()> {
    let side = |length: u64| u16::try_from(length).unwrap_or(u16::MAX);
    size.map_or(Ok(()), |size| resize(terminal, side(size.width()), side(size.height())))
}

/// Makes standard input, a terminal, the controlling one of a new session, so that ^C reaches the process.
///
/// # Errors
/// When it is not a terminal, or is another session's.
pub(crate) fn control() -> anyhow::Result<()> {
    setsid().context("cannot make a session")?;
    ioctl_tiocsctty(rustix::stdio::stdin()).context("cannot make the terminal the controlling one")
}
