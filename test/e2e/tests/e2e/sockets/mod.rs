//! Guests with sockets: WasmEdge's, wasi:sockets, and listeners that the shim opens for them.

mod datagrams;
mod egress;
mod http;
mod listen;
mod names;
mod poll;
mod proxy;
mod unix;

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::http::wire::Wire;
use e2e::net::Net;
use e2e::output::Output;
use e2e::process::{LIMIT, Running};
use e2e::runner::Scenario;

/// How long a signalled guest may take to end, calls of ctr and its clean-up included.
const PROMPT: Duration = Duration::from_secs(2);
/// How long the tests' own sockets wait for the guest.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn scenarios() -> Vec<Scenario> {
    [
        http::scenarios(),
        datagrams::scenarios(),
        proxy::scenarios(),
        poll::scenarios(),
        listen::scenarios(),
        unix::scenarios(),
        names::scenarios(),
        egress::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A network namespace with only loopback, for a guest and its peers.
struct Room<'a> {
    daemon: &'a Containerd,
    net: Net,
}

impl<'a> Room<'a> {
    fn new(daemon: &'a Containerd) -> Result<Self> {
        Ok(Self { daemon, net: Net::hold()? })
    }

    /// A container in this network.
    fn run(&self, id: &str) -> Run<'a> {
        self.daemon.run(id).flag("--with-ns", &format!("network:{}", self.net.path().display()))
    }

    /// Starts a container of this guest, and waits for `ready`.
    fn serve(&self, id: &str, args: &[&str]) -> Result<Running> {
        ready(self.run(id).args(args))
    }

    fn connect(&self, to: &str) -> Result<TcpStream> {
        e2e::http::connect(&self.net, to.parse()?)
    }

    /// An HTTP connection.
    fn wire(&self, to: &str) -> Result<Wire> {
        Ok(Wire::new(self.connect(to)?))
    }

    fn datagrams(&self, at: &str) -> Result<UdpSocket> {
        let socket = self.net.inside(|| UdpSocket::bind(at).with_context(|| at.to_owned()))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Stops a guest, which must end promptly.
    fn stop(&self, id: &str, running: Running) -> Result<Output> {
        self.daemon.kill(id, "SIGTERM", false)?;
        running.finish(PROMPT)?.exits(143)
    }

    /// Creates a world-readable file on the host.
    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.daemon.scope.dir.join("tmp").join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }
}

/// Starts a guest, and waits until it prints `ready`.
fn ready(run: Run<'_>) -> Result<Running> {
    let mut running = run.start()?;
    running.says("ready", LIMIT)?;
    Ok(running)
}
