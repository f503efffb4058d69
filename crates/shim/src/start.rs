//! `start`: the address of the pod's daemon on standard output, the daemon itself where there is none.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::Context;
use container::birth;
use containerd_shim::Flags;
use rustix::fs::{FlockOperation, Mode};
use serde::Deserialize;
use workload::Pod;

use crate::daemon::{self, Place};

/// Prints the address, version 2 style: a plain line, which every containerd since 1.6 takes.
///
/// # Errors
/// When the bundle cannot be read or the socket not be made.
pub fn start(flags: &Flags) -> anyhow::Result<()> {
    let bundle = std::env::current_dir().context("cannot tell the bundle's folder")?;
    let pod = pod_of(&bundle, &flags.id)?;
    let address = containerd_shim::socket_address(&flags.address, &flags.namespace, &pod.0);
    let socket = PathBuf::from(address.strip_prefix("unix://").unwrap_or(&address));
    // containerd reads it when the shim is gone; the name is a convention of all shims.
    fs::write(bundle.join("address"), &address).context("cannot write the address file")?;
    let place = Place { socket, bundle, namespace: flags.namespace.clone(), debug: flags.debug };
    if let Some(listener) = listen(&place.socket)? {
        become_two(listener, place)?;
    }
    io::stdout().write_all(address.as_bytes()).context("cannot print the address")
}

/// Of all the spec only the annotations matter here, so only they are read.
fn pod_of(bundle: &Path, id: &str) -> anyhow::Result<Pod> {
    #[derive(Deserialize)]
    struct Annotated {
        #[serde(default)]
        annotations: HashMap<String, String>,
    }
    let path = bundle.join("config.json");
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let spec: Annotated = serde_json::from_reader(io::BufReader::new(file))
        .with_context(|| format!("{} is not an OCI runtime spec", path.display()))?;
    Ok(Pod::of(id, &spec.annotations))
}

/// The pod's socket, unless a daemon listens on it already. A socket nobody listens on any more is
/// replaced.
fn listen(socket: &Path) -> anyhow::Result<Option<UnixListener>> {
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

/// Forks the daemon. It needs no exec: all it is made of is mapped already.
fn become_two(listener: UnixListener, place: Place) -> anyhow::Result<()> {
    let Some(_) = birth::child().context("cannot fork the daemon")? else {
        let status = daemon::run(listener, &place).map_or_else(
            |error| {
                log::error!("the daemon ended: {error:#}");
                1
            },
            |()| 0,
        );
        birth::exit_now(status);
    };
    Ok(())
}
