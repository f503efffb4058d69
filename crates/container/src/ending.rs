//! How a guest's process ends when it is told to: at once, with 128 plus the signal's number.
//!
//! A Wasm guest has no signals, so none of its code could run on SIGTERM; all it wrote is already
//! with the kernel, since its output is not buffered. Ending in the handler works in a busy loop and
//! in a blocked call alike, and costs the compiled code no interruption checks.
//!
//! One that answers requests is told instead, once, and has time to finish them; the next signal ends it.

#![expect(unsafe_code, reason = "a signal handler is installed and runs between any two instructions")]

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::event::{EventfdFlags, eventfd};

/// The signals whose default is to end a program, less those that an engine needs for traps. As the
/// first process of a pid namespace a guest would not even receive them without a handler.
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

/// Where the first signal is told; negative for nowhere.
static TOLD: AtomicI32 = AtomicI32::new(-1);

/// Makes a descriptor that is readable once a signal has asked the process to end, instead of ending it.
///
/// # Errors
/// When too many files are open.
pub fn told() -> io::Result<OwnedFd> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let kept = event.try_clone()?;
    TOLD.store(kept.into_raw_fd(), Ordering::SeqCst);
    Ok(event)
}

/// Lets each signal that ends a program end this one, or be told of.
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

/// Lets SIGPIPE end the process again: this program ignores it, and what it executes would inherit that.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn default_sigpipe() -> nix::Result<()> {
    // SAFETY: the default action runs no code of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}

extern "C" fn end(signal: libc::c_int) {
    let event = TOLD.swap(-1, Ordering::SeqCst);
    if event >= 0 {
        let one = 1_u64;
        // SAFETY: eight bytes of this stack are read; nobody closes the descriptor, which is the handler's own.
        unsafe { libc::write(event, (&raw const one).cast(), size_of_val(&one)) };
        return;
    }
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(128 + signal) }
}
