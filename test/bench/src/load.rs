//! A server in a container, and clients that send requests as fast as they can.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::net::Net;
use e2e::process::{poll, run};

use crate::subject::Subject;

/// How long a server may take to start.
const BEGIN: Duration = Duration::from_secs(30);

/// A running server.
pub struct Server<'a> {
    daemon: &'a Containerd,
    id: String,
    address: SocketAddr,
    net: Net,
}

/// The clients' result.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Answers per second.
    pub rate: f64,
    /// The 99th percentile of the answer time, in milliseconds.
    pub p99: f64,
}

impl<'a> Server<'a> {
    /// Starts `subject`, and waits until it listens at `port`.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(daemon: &'a Containerd, subject: &Subject, id: &str, port: u16) -> Result<Self> {
        let mut command = daemon.ctr(["run", "--detach", "--runtime", subject.runtime]);
        command.args(["--log-uri", "file:///dev/null"]);
        command.args(&subject.flags).arg(e2e::image::name(None)).arg(id).args(subject.args);
        run(&mut command)?.ok()?;
        let net = Net::of(daemon.task(id)?.pid);
        // Not every shim brings the loopback up.
        run(net.command("busybox".as_ref()).args(["ip", "link", "set", "lo", "up"]))?.ok()?;
        let server = Self { daemon, id: id.into(), address: ([127, 0, 0, 1], port).into(), net };
        poll("the server to listen", BEGIN, || Ok(server.connect().ok()))?;
        Ok(server)
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn connect(&self) -> Result<TcpStream> {
        self.net.inside(|| Ok(TcpStream::connect(self.address)?))
    }

    /// Requests `path` over 50 connections for two seconds.
    ///
    /// # Errors
    /// When an answer is not 200, or a connection breaks.
    pub fn load(&self, path: &str) -> Result<Load> {
        let wrk = ["wrk", "-t1", "-c50", "-d2s", "--latency"];
        let mut command: Command = self.net.command("env".as_ref());
        let output = run(command.args(wrk).arg(format!("http://{}{path}", self.address)))?.ok()?;
        let printed = output.stdout;
        ensure!(
            !printed.contains("Non-2xx") && !printed.contains("Socket errors"),
            "not every answer is 200: {printed}"
        );
        let figure = |name: &str| {
            let line = printed.lines().find_map(|line| line.trim().strip_prefix(name));
            line.map(str::trim).with_context(|| format!("no {name} in {printed}"))
        };
        Ok(Load { rate: figure("Requests/sec:")?.parse()?, p99: milliseconds(figure("99%")?)? })
    }

    /// Kills and removes it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(self) -> Result<()> {
        self.daemon.kill_and_delete(&self.id)
    }
}

/// The time from executing `ctr run` to the server's first answer.
///
/// # Errors
/// When it does not.
pub fn first_answer(daemon: &Containerd, subject: &Subject, id: &str, port: u16) -> Result<Duration> {
    use std::io::{Read, Write};
    let begin = Instant::now();
    let server = Server::start(daemon, subject, id, port)?;
    let mut stream = server.connect()?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let took = begin.elapsed();
    ensure!(answer.starts_with("HTTP/1.1 200"), "it answered {answer:?}");
    server.stop()?;
    Ok(took)
}

/// Parses a time as wrk writes it: `850.00us`, `3.25ms`, `1.02s`.
fn milliseconds(text: &str) -> Result<f64> {
    const UNITS: [(&str, f64); 3] = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let found = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = found.with_context(|| format!("{text:?} is no time"))?;
    Ok(number.parse::<f64>()? * factor)
}
