//! Making processes: one `clone3`, whose child is born into its namespaces as the caller's sibling.

#![expect(unsafe_code, reason = "clone3 has no safe wrapper: its child goes on in a copy of this program")]

use std::io;
use std::mem::size_of;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A process just born, seen from its elder sibling.
#[derive(Debug)]
pub struct Born {
    /// Its id in the caller's pid namespace.
    pub pid: i32,
    /// A descriptor that stays its own even when the id is used again.
    pub pidfd: OwnedFd,
}

/// Forks a sibling into the new namespaces of `flags` (`CLONE_NEW*`). Returns `None` in the child.
///
/// The child's parent is the caller's parent, who alone is told of its end; the caller needs no
/// wait and keeps no zombie.
///
/// # Errors
/// What the kernel says: `EPERM` without privileges, `ENOSPC` when namespaces are nested too deep.
pub fn sibling(flags: i32) -> io::Result<Option<Born>> {
    debug_assert!(is_single_threaded(), "a fork of many threads keeps their locks but not them");
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain data for which all zeroes is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from((flags | libc::CLONE_PARENT | libc::CLONE_PIDFD).cast_unsigned());
    args.pidfd = (&raw mut pidfd) as u64;
    // SAFETY: without CLONE_VM and with no new stack this is fork: the child continues on a copy of
    // this stack. The caller has one thread, so no lock is held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: clone3 succeeded with CLONE_PIDFD, so `pidfd` is a descriptor nobody else owns.
        pid => Ok(Some(Born { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })),
    }
}

/// Forks a child of the caller. Returns `None` in the child.
///
/// # Errors
/// What `fork` says.
pub fn child() -> io::Result<Option<rustix::process::Pid>> {
    debug_assert!(is_single_threaded(), "see sibling");
    // SAFETY: as in `sibling`: one thread, and the child goes on in a copy.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(rustix::process::Pid::from_raw(pid)),
    }
}

/// Ends the process at once, running nothing of what it inherited from the process it was forked
/// from: no destructor, no exit function, no flush of a buffer that two processes hold.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(status) }
}

fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
}
