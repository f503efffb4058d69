//! The pod's socket: made by `start`, removed by whoever ends last.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::Context;
use rustix::fs::{FlockOperation, Mode};

/// The pod's socket, unless a daemon listens on it already. A socket nobody listens on any more is
/// replaced.
///
/// # Errors
/// Names the socket that cannot be made.
pub fn listen(socket: &Path) -> anyhow::Result<Option<UnixListener>> {
    if let Some(folder) = socket.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // For root alone from its first moment.
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

/// Does something to a pod's socket while no other `start`, `delete` or ending daemon does: between
/// finding a socket dead and replacing it, somebody else could have brought it to life.
///
/// # Errors
/// Those of `act`, and when the folder of the sockets cannot be locked.
pub fn with_lock<T>(socket: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let folder = File::open(socket.parent().unwrap_or(Path::new("/")))?;
    rustix::fs::flock(&folder, FlockOperation::LockExclusive)?;
    act()
}

/// Removes a socket that nobody listens on any more.
///
/// # Errors
/// When it stays.
pub fn remove_if_dead(socket: &Path) -> io::Result<()> {
    if !socket.exists() {
        return Ok(());
    }
    with_lock(socket, || match UnixStream::connect(socket) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(socket),
        _ => Ok(()),
    })
}
