//! `start`: the address of the pod's daemon on standard output, the daemon itself where there is none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use container::birth;
use containerd_shim::Flags;
use serde::Deserialize;
use std::collections::HashMap;
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
    if let Some(listener) = listen(&socket)? {
        let place =
            Place { socket, bundle: bundle.clone(), namespace: flags.namespace.clone(), debug: flags.debug };
        become_two(listener, place)?;
    }
    // containerd reads it when the shim is gone; the name is a convention of all shims.
    fs::write(bundle.join("address"), &address).context("cannot write the address file")?;
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
    const TRIES: u32 = 3;
    if let Some(folder) = socket.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for _ in 0..TRIES {
        match UnixListener::bind(socket) {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot listen on {}", socket.display()));
            }
        }
        match UnixStream::connect(socket) {
            Ok(_) => return Ok(None),
            Err(_) => fs::remove_file(socket)
                .or_else(gone)
                .with_context(|| format!("cannot remove {}", socket.display()))?,
        }
    }
    bail!("cannot listen on {}: others keep taking and leaving it", socket.display())
}

fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
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
