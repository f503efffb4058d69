//! Slow clients: none occupies a connection or a slot for longer than the timeouts.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::Served;
use e2e::http::client::{Text, get, h1, h2, io, wait, whole};
use e2e::kernel;
use e2e::process::{SLOW, poll};
use e2e::runner::Scenario;

use super::{bounds, set};

/// The timeout for clients, and how much later they may be disconnected.
const GIVEN: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(4);

/// HTTP/2's client preface, with empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-says-nothing", |daemon| ends(daemon, "", b"")),
        Scenario::ours("http-half-a-head", |daemon| ends(daemon, "", b"GET / HTTP/1.1\r\nHost: a\r\n")),
        Scenario::ours("http-half-a-second-head", |daemon| ends(daemon, "/", b"GET / HT")),
        Scenario::ours("http-idle", |daemon| ends(daemon, "/", b"")),
        Scenario::ours("http-2-says-nothing", |daemon| ends(daemon, "", PREFACE)),
        Scenario::ours("http-half-a-body", half_a_body),
        Scenario::ours("http-slow-loris", slow_loris),
        Scenario::ours("http-reads-nothing", reads_nothing),
        Scenario::ours("http-2-reads-nothing", reads_nothing_two),
    ]
}

fn serve(daemon: &Containerd) -> Result<Served<'_>> {
    set(daemon, &[("header-timeout", "1s"), ("concurrency", "1")]).serve()
}

/// After a request for `first`, unless that is empty, the client sends `bytes` and nothing more.
fn ends(daemon: &Containerd, first: &str, bytes: &[u8]) -> Result<()> {
    let web = serve(daemon)?;
    let mut wire = web.wire()?;
    if !first.is_empty() {
        wire.asks(first)?;
        wire.answer()?.is(200, "hello")?;
    }
    let begin = Instant::now();
    wire.send(bytes)?;
    let rest = wire.rest()?;
    let took = begin.elapsed();
    ensure!(took > GIVEN / 2 && took < (GIVEN + LATE) * *SLOW, "disconnected after {took:?}");
    ensure!(!String::from_utf8_lossy(&rest).contains("200 OK"), "it was answered");
    web.lives()?;
    web.end()
}

/// The guest gets an error for the stalled body, and its slot is free.
fn half_a_body(daemon: &Containerd) -> Result<()> {
    let web = serve(daemon)?;
    let mut held = bounds::hold(&web)?;
    // The client stays connected; the only slot is taken until it is disconnected.
    web.get("/")?.is(200, "hello")?;
    let rest = String::from_utf8_lossy(&held.rest()?).into_owned();
    ensure!(!rest.contains("0\r\n"), "the echo seems whole: {rest:?}");
    web.end()
}

/// A trickle of bytes does not extend the timeout for the head.
fn slow_loris(daemon: &Containerd) -> Result<()> {
    let web = serve(daemon)?;
    let mut wire = web.wire()?;
    let begin = Instant::now();
    wire.send("GET / HTTP/1.1\r\nX: ")?;
    poll("the disconnect", GIVEN + LATE, || Ok((wire.send("x").is_err() || wire.ready()?).then_some(())))?;
    ensure!(begin.elapsed() > GIVEN / 2, "disconnected after {:?}", begin.elapsed());
    web.lives()?;
    web.end()
}

/// A client that never reads a big answer is disconnected, and its slot is free. Meanwhile the unread answer is
/// not buffered in memory.
fn reads_nothing(daemon: &Containerd) -> Result<()> {
    const BYTES: usize = 1 << 30;
    let web = serve(daemon)?;
    let mut wire = web.ask(&format!("/big?{BYTES}"))?;
    wire.head()?.status(200)?;
    let begin = Instant::now();
    web.get("/")?.is(200, "hello").context("the only slot is still taken")?;
    let took = begin.elapsed();
    ensure!(took > GIVEN / 2 && took < (GIVEN + LATE) * *SLOW, "its slot was free after {took:?}");
    let peak = kernel::status(web.pid, "VmHWM")?;
    let kibibytes: usize = peak.trim_end_matches(" kB").parse()?;
    ensure!(kibibytes < BYTES / 1024 / 8, "its process held {peak}");
    let got = wire.rest()?.len();
    ensure!(got < BYTES, "all of it was sent");
    web.end()
}

/// The same by HTTP/2, whose client handles frames but reads nothing of this answer.
fn reads_nothing_two(daemon: &Containerd) -> Result<()> {
    let settings = [("header-timeout", "1s"), ("concurrency", "1"), ("timeout", "4s")];
    let web = set(daemon, &settings).serve()?;
    let (stream, other) = (web.connect()?, web.connect()?);
    wait(async {
        let mut sender = h2::<Text>(io(stream)?).await?;
        let unread = sender.send_request(get("/big?1073741824")?).await?;
        let mut sender = h1::<Text>(io(other)?).await?;
        let (status, text, _) = whole(sender.send_request(get("/")?).await?).await?;
        ensure!(status == 200, "the only slot is still taken: {status} {text:?}");
        drop(unread);
        Ok(())
    })?;
    web.end()
}
