//! The pod's socket: made by `start`, removed by the daemon, the nursery or `delete`, whichever is last.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::Context;
use rustix::fs::{FlockOperation, Mode};

/// Binds the pod's socket; `None` if a daemon listens on it already. A dead socket is replaced.
///
/// # Errors
/// Names the socket that cannot be made.
pub fn listen(socket: &Path) -> anyhow::Result<Option<UnixListener>> {
    if let Some(dir) = socket.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    // The socket must never be accessible to anyone but root.
    let before = rustix::process::umask(Mode::from(0o177));
    let listener = with_lock(socket, || {
        match UnixListener::bind(socket) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            made => return made.map(Some),
        }
        if UnixStream::connect(socket).is_ok() {
            return Ok(None);
        }
        fs::remove_file(socket)?;
        UnixListener::bind(socket).map(Some)
    });
    rustix::process::umask(before);
    listener.with_context(|| format!("cannot listen on {}", socket.display()))
}

/// Runs `act` under the lock that every `start`, `delete` and exiting daemon takes: otherwise another process could
/// replace a dead socket between the check and the removal.
///
/// # Errors
/// Those of `act`, and when the directory of the sockets cannot be locked.
pub fn with_lock<T>(socket: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let dir = File::open(socket.parent().unwrap_or(Path::new("/")))?;
    rustix::fs::flock(&dir, FlockOperation::LockExclusive)?;
    act()
}

/// Removes the socket if no process listens on it.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_if_dead(socket: &Path) -> io::Result<()> {
    if !socket.exists() {
        return Ok(());
    }
    with_lock(socket, || match UnixStream::connect(socket) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(socket),
        _ => Ok(()),
    })
}
