//! Upstreams that stand still: each of the guest's time-outs is kept by itself, and told in the words of `wasi:http`.

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

/// What the guest gives its upstream, in its own words; and how much later it may be told.
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

/// Nobody takes the connection: as many wait already as the kernel lets.
fn connect(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listen(&listener, Backlog::new(0)?)?;
    let _waiting = fill(&web.net, address)?;
    told(&web, &format!("/within?500,,,http://{address}/"), || Ok(()), "ConnectionTimeout")?;
    web.end()
}

/// Connections up to the first that is not answered.
fn fill(net: &Net, address: SocketAddr) -> Result<Vec<TcpStream>> {
    const MOST: usize = 16;
    let connect = || net.inside(|| Ok(TcpStream::connect_timeout(&address, GIVEN)?));
    let waiting: Vec<TcpStream> = (0..MOST).map_while(|_| connect().ok()).collect();
    ensure!(waiting.len() < MOST, "the kernel takes them all");
    Ok(waiting)
}

/// One that takes the connection but never shows a certificate is not connected to, either.
fn tls(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let path = format!("/within?500,,,https://{}/", listener.local_addr()?);
    told(&web, &path, || accepted(&listener, b""), "ConnectionTimeout")?;
    web.end()
}

/// An upstream that says so much and no more.
fn stalls(daemon: &Containerd, times: &str, said: &[u8], error: &str) -> Result<()> {
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let path = format!("/within?{times},http://{}/", listener.local_addr()?);
    told(&web, &path, || accepted(&listener, said), error)?;
    web.end()
}

/// The guest's client, once it has begun to ask and was sent these bytes.
fn accepted(listener: &TcpListener, said: &[u8]) -> Result<TcpStream> {
    let (mut stream, _) = listener.accept().context("nobody came")?;
    ensure!(stream.read(&mut [0; 4096])? > 0, "it asks for nothing");
    stream.write_all(said)?;
    Ok(stream)
}

/// Whoever asks for `path` is told this error in time, while what `upstream` has done lasts.
fn told<T>(web: &Served<'_>, path: &str, upstream: impl FnOnce() -> Result<T>, error: &str) -> Result<()> {
    let begin = Instant::now();
    let mut wire = web.ask(path)?;
    let _lasts = upstream()?;
    wire.answer()?.is(200, &format!("error: ErrorCode::{error}"))?;
    let took = begin.elapsed();
    ensure!(took > GIVEN / 2 && took < (GIVEN + LATE) * *SLOW, "told after {took:?}");
    Ok(())
}

/// One that ends in the middle of its answer is told from one that stands still.
fn cut(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let listener = web.net.listen("127.0.0.1:0")?;
    let mut wire = web.ask(&format!("/within?,,,http://{}/", listener.local_addr()?))?;
    drop(accepted(&listener, HALF)?);
    wire.answer()?.is(200, "error: ErrorCode::ConnectionTerminated")?;
    web.end()
}

/// As long as something comes in time, all of it may take longer.
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
