//! Containers that serve HTTP, and their peers: `wire` sends the bytes that a test writes, `client` is hyper,
//! `upstream` is a server for guests' requests, `certificates` makes certificates for TLS.

pub mod certificates;
pub mod client;
pub mod upstream;
pub mod wire;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::containerd::Containerd;
use crate::net::Net;
use crate::process::{LIMIT, SLOW, poll};
use wire::{Answer, Wire};

/// The default port of a guest.
const PORT: u16 = 8080;

/// A container that serves HTTP in a network of its own.
pub struct Served<'a> {
    daemon: &'a Containerd,
    /// Its name.
    pub id: String,
    /// Its first process.
    pub pid: i32,
    /// Its network.
    pub net: Net,
    /// Its address.
    pub address: SocketAddr,
}

impl<'a> Served<'a> {
    /// The running container `id`.
    ///
    /// # Errors
    /// When there is no such task.
    pub fn of(daemon: &'a Containerd, id: &str) -> Result<Self> {
        let pid = daemon.task(id)?.pid;
        let address = (Ipv4Addr::LOCALHOST, PORT).into();
        Ok(Self { daemon, id: id.into(), pid, net: Net::of(pid), address })
    }

    /// The same, reached at `address`.
    pub fn at(self, address: impl Into<SocketAddr>) -> Self {
        Self { address: address.into(), ..self }
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect(&self) -> Result<TcpStream> {
        connect(&self.net, self.address)
    }

    /// A connection for raw bytes.
    ///
    /// # Errors
    /// When there is none.
    pub fn wire(&self) -> Result<Wire> {
        Ok(Wire::new(self.connect()?))
    }

    /// Sends a request for `path` and does not wait for the answer.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn ask(&self, path: &str) -> Result<Wire> {
        let mut wire = self.wire()?;
        wire.asks(path)?;
        Ok(wire)
    }

    /// Its answer for `path`.
    ///
    /// # Errors
    /// When it does not.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.ask(path)?.answer().with_context(|| format!("GET {path}"))
    }

    /// Checks that it still answers requests.
    ///
    /// # Errors
    /// When it does not.
    pub fn lives(&self) -> Result<()> {
        self.get("/")?.is(200, "hello").map(drop).context("afterwards")
    }

    /// Its output, stdout and stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits until it wrote `text`.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn logs(&self, text: &str) -> Result<()> {
        poll(&format!("{text:?} in the log"), LIMIT, || Ok(self.log().contains(text).then_some(())))
            .with_context(|| format!("the log says {:?}", self.log()))
    }

    /// Waits for its end, with this code, and deletes it.
    ///
    /// # Errors
    /// When it does not end, or with another code.
    pub fn ends(&self, code: i32) -> Result<()> {
        self.daemon.becomes(&self.id, "STOPPED")?;
        self.daemon.delete_task(&self.id, code)?;
        self.daemon.delete_container(&self.id)
    }

    /// Kills and deletes it: exit code 137.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn end(&self) -> Result<()> {
        self.daemon.kill_and_delete(&self.id)
    }

    fn log_file(&self) -> PathBuf {
        self.daemon.output_of(&self.id)
    }
}

/// A connection to `address` from within `net`, with time-outs.
///
/// # Errors
/// When there is none.
pub fn connect(net: &Net, address: SocketAddr) -> Result<TcpStream> {
    let stream = net.inside(|| {
        TcpStream::connect_timeout(&address, limit()).with_context(|| format!("cannot connect to {address}"))
    })?;
    stream.set_read_timeout(Some(limit()))?;
    stream.set_write_timeout(Some(limit()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The timeout of anything that should take a moment.
pub(crate) fn limit() -> Duration {
    LIMIT * *SLOW
}
