//! How a signal ends a guest's process: at once, with exit code 128 plus the signal's number.
//!
//! A guest has no signals, so none of its code could run on SIGTERM, and its output is not buffered, so none is lost.
//! Exiting in the handler works in a busy loop and in a blocking call alike, and the compiled code needs no
//! interruption checks.
//!
//! A guest that answers requests gets the first signal through [`termination_event`] and has time to drain; the next
//! signal ends it.

#![expect(unsafe_code, reason = "a signal handler is installed and runs between any two instructions")]

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::event::{EventfdFlags, eventfd};

/// The signals that terminate by default, without those that an engine needs for traps. As init of its pid namespace
/// a guest would not even receive them without a handler.
const ENDING: [Signal; 12] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGPWR,
    Signal::SIGXCPU,
];

/// The eventfd that the first signal writes to; negative for none.
static EVENT: AtomicI32 = AtomicI32::new(-1);

/// Creates an eventfd that becomes readable at the first terminating signal, which then does not end the process.
///
/// # Errors
/// When too many files are open.
pub fn termination_event() -> io::Result<OwnedFd> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let kept = event.try_clone()?;
    EVENT.store(kept.into_raw_fd(), Ordering::SeqCst);
    Ok(event)
}

/// Installs the handler for all terminating signals: each ends the process, or writes to [`termination_event`]'s
/// eventfd.
///
/// # Errors
/// When the kernel refuses a handler.
pub fn on_signals() -> nix::Result<()> {
    // SA_ONSTACK: the guest's own stack may be nearly used up when the signal arrives.
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::SA_ONSTACK, SigSet::all());
    for signal in ENDING {
        // SAFETY: `end` calls nothing but write and _exit, which are async-signal-safe.
        unsafe { sigaction(signal, &action) }?;
    }
    SigSet::all().thread_unblock()
}

/// Restores the default action of SIGPIPE: this program ignores it, and a program that it executes would inherit that.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn default_sigpipe() -> nix::Result<()> {
    // SAFETY: the default action runs no code of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}

extern "C" fn end(signal: libc::c_int) {
    let event = EVENT.swap(-1, Ordering::SeqCst);
    if event >= 0 {
        let one = 1_u64;
        // SAFETY: reads eight bytes of this stack; the descriptor is the handler's own and is never closed.
        unsafe { libc::write(event, (&raw const one).cast(), size_of_val(&one)) };
        return;
    }
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(128 + signal) }
}
