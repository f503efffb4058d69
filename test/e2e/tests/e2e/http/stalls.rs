//! Stalled upstreams: each of the guest's timeouts applies by itself, and is reported as an error code of `wasi:http`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::Served;
use e2e::net::Net;
use e2e::process::{LIMIT, SLOW};
use e2e::runner::Scenario;
use nix::sys::socket::{Backlog, listen};

use super::all;

/// The guest's timeout, and how much later its error may come.
const GIVEN: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(4);

/// Half of an answer.
const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-get-connect-stalls", connect),
        Scenario::ours("http-get-tls-stalls", tls),
        Scenario::ours("http-get-answer-stalls", |daemon| {
            stalls(daemon, ",500,", b"", "HttpResponseTimeout")
        }),
        Scenario::ours("http-get-head-stalls", |daemon| {
            stalls(daemon, ",500,", b"HTTP/1.1 200 OK\r\nContent-", "HttpResponseTimeout")
        }),
        Scenario::ours("http-get-body-stalls", |daemon| {
            stalls(daemon, ",,500", HALF, "ConnectionReadTimeout")
        }),
        Scenario::ours("http-get-cut", cut),
        Scenario::ours("http-get-slow", slow),
    ]
}

/// The connection is not accepted: the listener's backlog is full.
fn connect(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listen(&listener, Backlog::new(0)?)?;
    let _waiting = fill(&web.net, address)?;
    fails(&web, &format!("/within?500,,,http://{address}/"), || Ok(()), "ConnectionTimeout")?;
    web.end()
}

/// Fills the backlog: connects until a connection is not accepted.
fn fill(net: &Net, address: SocketAddr) -> Result<Vec<TcpStream>> {
    const MAX: usize = 16;
    let connect = || net.inside(|| Ok(TcpStream::connect_timeout(&address, GIVEN)?));
    let waiting: Vec<TcpStream> = (0..MAX).map_while(|_| connect().ok()).collect();
    ensure!(waiting.len() < MAX, "the kernel accepts them all");
    Ok(waiting)
}

/// The TLS handshake counts as connecting: the upstream accepts, but sends no certificate.
fn tls(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let path = format!("/within?500,,,https://{}/", listener.local_addr()?);
    fails(&web, &path, || accepted(&listener, b""), "ConnectionTimeout")?;
    web.end()
}

/// An upstream that sends these bytes and no more.
fn stalls(daemon: &Containerd, times: &str, sent: &[u8], error: &str) -> Result<()> {
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let path = format!("/within?{times},http://{}/", listener.local_addr()?);
    fails(&web, &path, || accepted(&listener, sent), error)?;
    web.end()
}

/// Accepts the guest's connection, waits for its first bytes, and sends `sent`.
fn accepted(listener: &TcpListener, sent: &[u8]) -> Result<TcpStream> {
    let (mut stream, _) = listener.accept().context("the guest did not connect")?;
    ensure!(stream.read(&mut [0; 4096])? > 0, "the guest sent nothing");
    stream.write_all(sent)?;
    Ok(stream)
}

/// A request for `path` gets this error in time, while the result of `upstream` is kept.
fn fails<T>(web: &Served<'_>, path: &str, upstream: impl FnOnce() -> Result<T>, error: &str) -> Result<()> {
    let begin = Instant::now();
    let mut wire = web.ask(path)?;
    let _kept = upstream()?;
    wire.answer()?.is(200, &format!("error: ErrorCode::{error}"))?;
    let took = begin.elapsed();
    ensure!(took > GIVEN / 2 && took < (GIVEN + LATE) * *SLOW, "the error came after {took:?}");
    Ok(())
}

/// A connection that ends in the middle of an answer gives another error than a stalled one.
fn cut(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let mut wire = web.ask(&format!("/within?,,,http://{}/", listener.local_addr()?))?;
    drop(accepted(&listener, HALF)?);
    wire.answer()?.is(200, "error: ErrorCode::ConnectionTerminated")?;
    web.end()
}

/// The timeout is between bytes: the whole answer may take longer.
fn slow(daemon: &Containerd) -> Result<()> {
    const PIECES: usize = 4;
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let mut wire = web.ask(&format!("/within?,,1000,http://{}/", listener.local_addr()?))?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {PIECES}\r\n\r\n");
    let mut stream = accepted(&listener, head.as_bytes())?;
    for _ in 0..PIECES {
        thread::sleep(GIVEN);
        stream.write_all(b"x")?;
    }
    wire.answer()?.is(200, &"x".repeat(PIECES)).with_context(|| format!("within {LIMIT:?}"))?;
    web.end()
}
