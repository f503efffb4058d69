//! Processes by pidfd: signalled and reaped without the risk of a reused pid.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::wait::{Id, WaitPidFlag};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use serde::{Deserialize, Serialize};

/// Opens a pidfd of the running process `pid`.
///
/// # Errors
/// `ESRCH` when there is none.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends a signal by number.
///
/// # Errors
/// `ESRCH` when the process has ended, `EINVAL` for a number that is no signal.
pub fn signal(pidfd: impl AsFd, number: i32) -> io::Result<()> {
    let named = Signal::from_named_raw(number);
    #[expect(unsafe_code, reason = "real-time signals have no name to be made from")]
    // SAFETY: the number is only passed to the kernel, which rejects an invalid one.
    let signal = named.or_else(|| (number > 0).then(|| unsafe { Signal::from_raw_unchecked(number) }));
    let signal = signal.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_send_signal(pidfd, signal)?)
}

/// Reaps an ended child: its exit code, or 128 plus the signal that ended it. `None` while it runs.
///
/// # Errors
/// `ECHILD` when it is not a child, or was reaped before.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(ended) = waitid(WaitId::PidFd(pidfd), options)? else { return Ok(None) };
    let code = ended.exit_status().or_else(|| ended.terminating_signal().map(|signal| 128 + signal));
    Ok(code.map(i32::cast_unsigned))
}

/// Reaps ended children that have no waiter: those that libcontainer forked as this process's children. Stops at the
/// first that is `awaited`; its waiter will reap it.
pub fn reap_strangers(awaited: impl Fn(i32) -> bool) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Some(pid) = nix::sys::wait::waitid(Id::All, peek).ok().and_then(|status| status.pid()) {
        if awaited(pid.as_raw()) || nix::sys::wait::waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
    }
}

/// Identifies a process even when its pid is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id in the host's pid namespace.
    pub pid: i32,
    /// Its start time, in clock ticks since boot.
    pub started: u64,
}

impl Identity {
    /// Reads the identity of a running process.
    ///
    /// # Errors
    /// When there is none of that id.
    pub fn of(pid: i32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in field 2 may hold anything, spaces and brackets too; field 22 is the time.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let started = after_name.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok());
        Ok(Self { pid, started: started.ok_or(io::ErrorKind::InvalidData)? })
    }

    /// Kills the process, unless its pid is now another process's.
    pub fn kill(self) {
        let Ok(pidfd) = open(self.pid) else { return };
        if Self::of(self.pid).is_ok_and(|now| now == self) {
            // It may have ended since: that is what was wanted.
            let _ = signal(pidfd, libc::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_stable_and_its_own() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = Identity::of(pid).unwrap();
        assert_eq!(Identity::of(pid).unwrap(), me);
        assert_ne!(Identity::of(1).unwrap(), me);
        // Not this process: it is not killed.
        Identity { pid, started: me.started + 1 }.kill();
    }
}
