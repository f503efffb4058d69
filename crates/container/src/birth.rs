//! Creates processes, by a `clone3` whose child is a sibling of the caller in new namespaces.

#![expect(unsafe_code, reason = "clone3 has no safe wrapper: its child goes on in a copy of this program")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// From `linux/sched.h`: too large for libc's type of the other flags.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A new process, as its creator knows it.
#[derive(Debug)]
pub struct Born {
    /// Its id in the caller's pid namespace.
    pub pid: i32,
    /// Its pidfd, which stays valid when the id is reused.
    pub pidfd: OwnedFd,
}

/// Forks a sibling into the new namespaces of `flags` (`CLONE_NEW*`) and, on cgroup v2, into the cgroup whose
/// directory is given. Returns `None` in the child.
///
/// The child's parent is the caller's parent, which alone is notified of its end: the caller need not wait and keeps
/// no zombie.
///
/// # Errors
/// The kernel's error: `EPERM` without privileges, `ENOSPC` when namespaces are nested too deep.
pub fn sibling(flags: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Option<Born>> {
    debug_assert!(is_single_threaded(), "a fork of many threads keeps their locks but not them");
    clone3(flags | libc::CLONE_PARENT, 0, cgroup)
}

/// Creates a child in the new namespaces of `flags` that sleeps until it is killed, or until its parent ends. The
/// caller may have other threads.
///
/// # Errors
/// As [`sibling`].
pub(crate) fn sleeper(flags: i32) -> io::Result<Born> {
    if let Some(born) = clone3(flags, libc::SIGCHLD, None)? {
        return Ok(born);
    }
    // SAFETY: takes integers only.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    loop {
        // SAFETY: takes nothing.
        unsafe { libc::pause() };
    }
}

/// Forks. Returns `None` in the child, which, if its parent has other threads, must take no lock, so it can do hardly
/// anything.
fn clone3(flags: i32, signal_at_end: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Option<Born>> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain data for which all zeroes is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from((flags | libc::CLONE_PIDFD).cast_unsigned());
    args.exit_signal = u64::from(signal_at_end.cast_unsigned());
    args.pidfd = (&raw mut pidfd) as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: without CLONE_VM and with no new stack this is fork: the child continues on a copy of this stack. What
    // it may do there is the caller's responsibility.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: clone3 succeeded with CLONE_PIDFD, so `pidfd` is a new descriptor without another owner.
        pid => Ok(Some(Born { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })),
    }
}

/// Forks a child of the caller. Returns `None` in the child.
///
/// # Errors
/// The error of fork(2).
pub fn child() -> io::Result<Option<rustix::process::Pid>> {
    debug_assert!(is_single_threaded(), "see sibling");
    // SAFETY: as in `clone3`: one thread, and the child continues on a copy of the stack.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(rustix::process::Pid::from_raw(pid)),
    }
}

/// Ends the process at once, without running destructors, exit functions or flushes of buffers that it inherited by a
/// fork.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(status) }
}

/// The numbers of all open descriptors of this process. Needs /proc.
///
/// # Errors
/// When /proc is not visible.
pub(crate) fn open_numbers() -> io::Result<Vec<RawFd>> {
    let listed = std::fs::read_dir("/proc/self/fd")?;
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Ok(listed.filter_map(number).collect())
}

/// Closes every descriptor except standard input, output and error and those in `kept`.
///
/// Other values of this process may own what is closed: only for processes just forked, which never use those values
/// again.
pub fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<u32> =
        kept.iter().map(|number| number.cast_unsigned()).filter(|number| *number > 2).collect();
    kept.sort_unstable();
    let mut first = 3;
    for last in kept.iter().map(|number| number - 1).chain([u32::MAX]) {
        if first <= last {
            // SAFETY: close_range takes integers; the owners of what it closes are never used again, see above.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        first = last.saturating_add(2);
    }
}

fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
}
