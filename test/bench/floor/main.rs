//! The floor: a containerd shim v2 that answers every request and starts no process. The time of `ctr run` with it is
//! containerd's own; no real shim can be faster.
//!
//! It has the shape of Lighter's own shim, so that the difference between the two is the container:
//! `start` forks the daemon without exec, the daemon has one thread and publishes the events.
//! A task ends with 0 at Start. It opens no fifo, mounts nothing and imports none of our crates.
//!
//! Unsafe code lives in `daemon` (it forks, and hands the listening socket to the ttrpc server).

mod daemon;
mod events;
mod task;

use std::io::{self, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use containerd_shim::Flags;
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::{Message as _, MessageField};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let flags: Flags = containerd_shim::parse(&args).context("cannot read the command line")?;
    match flags.action.as_str() {
        "start" => start(&flags),
        "delete" => delete(),
        action => bail!("there is no action {action:?}; containerd uses start and delete"),
    }
}

/// Starts one daemon for each container: the floor has no pods.
fn start(flags: &Flags) -> anyhow::Result<()> {
    let address = containerd_shim::socket_address(&flags.address, &flags.namespace, &flags.id);
    let socket = Path::new(address.strip_prefix("unix://").unwrap_or(&address));
    if let Some(dir) = socket.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let listener =
        UnixListener::bind(socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    daemon::fork(listener, socket, &flags.namespace)?;
    std::fs::write("address", &address).context("cannot write the address file")?;
    io::stdout().write_all(address.as_bytes()).context("cannot print the address")
}

/// There is never anything to remove.
fn delete() -> anyhow::Result<()> {
    let killed = 137;
    let exited_at = MessageField::some(task::now());
    let response = DeleteResponse { exit_status: killed, exited_at, ..DeleteResponse::default() };
    io::stdout().write_all(&response.write_to_bytes()?).context("cannot print the answer")
}
