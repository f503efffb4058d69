//! Ctrl-C and SIGTERM: sweeps what the tests hold on the machine, then ends them.

use std::sync::{Mutex, PoisonError};
use std::{process, thread};

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::scope::Scope;

static SCOPES: Mutex<Vec<Scope>> = Mutex::new(Vec::new());

/// Registers `scope` to be swept when the tests are interrupted.
pub fn sweep_later(scope: &Scope) {
    SCOPES.lock().unwrap_or_else(PoisonError::into_inner).push(scope.clone());
}

/// Unregisters `scope`, which is swept.
pub fn swept(scope: &Scope) {
    SCOPES.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != scope);
}

/// From now on a terminating signal sweeps first.
///
/// # Errors
/// When the kernel refuses the signal handlers.
pub fn listen() -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        eprintln!("interrupted: cleaning up");
        // The lock is kept, so that the scenario that loses its containerd now does not sweep as well.
        let scopes = SCOPES.lock().unwrap_or_else(PoisonError::into_inner);
        for scope in scopes.iter() {
            if let Err(error) = scope.sweep() {
                eprintln!("{}: {error:#}", scope.dir.display());
            }
        }
        process::exit(128 + signal);
    });
    Ok(())
}
