//! A server's limits: concurrent and queued requests, sizes, connections, descriptors, memory.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::Served;
use e2e::http::client::{Text, get, h2, io, wait, whole};
use e2e::http::wire::Wire;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use serde_json::json;

use super::{ALL, HELLO, all, set};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-queue", queue),
        Scenario::ours("http-queue-timeout", queue_timeout),
        Scenario::ours("http-timeout", late),
        Scenario::ours("http-timeout-frees-place", late_alone),
        Scenario::ours("http-max-body", body),
        Scenario::ours("http-max-header", header),
        Scenario::ours("http-many-headers", many_headers),
        Scenario::ours("http-connections", connections),
        Scenario::ours("http-descriptors", descriptors),
        Scenario::ours("http-memory", memory),
        Scenario::ours("http-memory-at-once", memory_at_once),
        Scenario::ours("http-memory-queue", memory_queue),
        Scenario::ours("http-memory-trap", memory_trap),
    ]
}

/// A request that occupies a slot until [`release`].
pub fn hold(web: &Served<'_>) -> Result<Wire> {
    let mut wire = web.wire()?;
    wire.posts("/echo")?;
    wire.sends_chunk("in")?;
    wire.head()?.status(200)?;
    ensure!(wire.chunk()?.as_deref() == Some(b"in"), "no echo");
    Ok(wire)
}

fn release(mut held: Wire) -> Result<()> {
    held.sends_chunk("")?;
    ensure!(held.chunk()?.is_none(), "the echo does not end");
    Ok(())
}

/// One request is running, one waits, the third is answered with 503 and Retry-After.
fn queue(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("concurrency", "1"), ("queue", "1")]).serve()?;
    let held = hold(&web)?;
    let (one, other) = (web.ask("/")?, web.ask("/")?);
    let (mut refused, mut waiting) = first_answered(one, other)?;
    let answer = refused.answer()?.is(503, "the application is busy")?;
    ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
    ensure!(!waiting.ready()?, "the queued request is answered, too");
    release(held)?;
    waiting.answer()?.is(200, "hello")?;
    web.end()
}

/// The one of two requests that is answered first, and the other.
fn first_answered(mut one: Wire, mut other: Wire) -> Result<(Wire, Wire)> {
    let first = poll("an answer", LIMIT, || match (one.ready()?, other.ready()?) {
        (false, false) => Ok(None),
        (first, _) => Ok(Some(first)),
    })?;
    Ok(if first { (one, other) } else { (other, one) })
}

/// The timeout includes the time in the queue.
fn queue_timeout(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("concurrency", "1"), ("timeout", "500ms")]).serve()?;
    let held = hold(&web)?;
    let answer = web.get("/")?.is(503, "the application is busy")?;
    ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
    release(held)?;
    web.lives()?;
    web.end()
}

/// The timeout ends a guest that computes and one that waits; other requests are answered meanwhile.
fn late(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("timeout", "1s")]).serve()?;
    for path in ["/burn", "/sleep?60000"] {
        let mut wire = web.ask(path)?;
        web.get("/")?.is(200, "hello").context("meanwhile")?;
        ensure!(!wire.ready()?, "{path} is answered too early");
        wire.answer()?.is(504, "the application took too long")?;
        let line = format!(
            "GET {}: 504: the guest did not answer within 1s",
            &path[..path.find('?').unwrap_or(path.len())]
        );
        web.logs(&line)?;
    }
    web.lives()?;
    web.end()
}

/// The slot is free afterwards: the guest does not compute on.
fn late_alone(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("timeout", "300ms"), ("concurrency", "1"), ("queue", "0")]).serve()?;
    for _ in 0..3 {
        web.get("/burn")?.status(504)?;
        web.get("/")?.is(200, "hello")?;
    }
    web.end()
}

/// A body is refused unread if its Content-Length exceeds the limit; a chunked one is cut off for the guest.
fn body(daemon: &Containerd) -> Result<()> {
    const MAX: usize = 1024;
    let web = set(daemon, &[("max-body", "1Ki")]).serve()?;
    let post = |length: usize| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{}",
            "x".repeat(length.min(MAX))
        )
    };
    let mut wire = web.wire()?;
    wire.send(post(MAX))?;
    ensure!(wire.answer()?.status(200)?.body.len() == MAX, "a body of exactly the limit is incomplete");
    wire.send(post(MAX + 1))?;
    wire.answer()?.is(413, "the request's body is too long")?;
    wire.closed()?;

    let mut wire = web.wire()?;
    wire.posts("/echo")?;
    wire.sends_chunk(&"x".repeat(MAX))?;
    wire.head()?.status(200)?;
    ensure!(wire.chunk()?.is_some_and(|chunk| chunk.len() == MAX), "no echo");
    wire.sends_chunk("y")?;
    let rest = String::from_utf8_lossy(&wire.rest()?).into_owned();
    ensure!(!rest.contains('y') && !rest.contains("0\r\n"), "beyond the limit came {rest:?}");
    web.lives()?;
    web.end()
}

/// HTTP/1.1 and HTTP/2 give the same status for a head that is too long.
fn header(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("max-header", "8Ki")]).serve()?;
    let long = "x".repeat(16 << 10);
    let mut wire = web.wire()?;
    wire.send(format!("GET / HTTP/1.1\r\nHost: test\r\nX: {long}\r\n\r\n"))?;
    wire.head()?.status(431)?;
    let stream = web.connect()?;
    wait(async {
        let mut sender = h2::<Text>(io(stream)?).await?;
        let mut request = get("/")?;
        request.headers_mut().insert("x", long.parse()?);
        let (status, ..) = whole(sender.send_request(request).await?).await?;
        ensure!(status == 431, "status {status}");
        let (status, ..) = whole(sender.send_request(get("/")?).await?).await?;
        ensure!(status == 200, "status {status} afterwards");
        Ok(())
    })?;
    web.lives()?;
    web.end()
}

fn many_headers(daemon: &Containerd) -> Result<()> {
    let web = daemon.run("web").args(HELLO).serve()?;
    let mut wire = web.wire()?;
    let headers: String = (0..2000).map(|number| format!("X-{number}: 1\r\n")).collect();
    wire.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{headers}\r\n"))?;
    wire.head()?.status(431)?;
    web.lives()?;
    web.end()
}

/// The third connection is served when one of the two is closed.
fn connections(daemon: &Containerd) -> Result<()> {
    /// Long enough for many answers on the other connections.
    const WHILE: Duration = Duration::from_millis(200);
    let web = set(daemon, &[("connections", "2")]).serve()?;
    let (mut one, mut two) = (web.ask("/")?, web.ask("/")?);
    one.answer()?.is(200, "hello")?;
    two.answer()?.is(200, "hello")?;
    let mut three = web.ask("/")?;
    thread::sleep(WHILE);
    ensure!(!three.ready()?, "a third connection is served");
    two.asks("/")?;
    two.answer()?.is(200, "hello")?;
    drop(one);
    three.answer()?.is(200, "hello")?;
    web.end()
}

/// Connections leave enough descriptors for the guest: the next client waits, while the guest can open files and
/// connections for those that are connected.
fn descriptors(daemon: &Containerd) -> Result<()> {
    const LIMIT: usize = 128;
    const CONNECTIONS: usize = LIMIT - 64;
    let mut spec = daemon.default_spec("web", ALL)?;
    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": LIMIT, "hard": LIMIT }]);
    let web = daemon.run_spec("web", &daemon.write_spec("web", &spec)?).serve()?;
    let mut wires = (0..CONNECTIONS).map(|_| web.wire()).collect::<Result<Vec<_>>>()?;
    for wire in &mut wires {
        wire.asks("/")?;
        wire.answer()?.is(200, "hello")?;
    }
    let mut waits = web.ask("/")?;
    let server = web.net.listen("127.0.0.1:9000")?;
    for path in ["/file?/etc/group", "/connect?127.0.0.1:9000"] {
        wires[0].asks(path)?;
        if path.starts_with("/connect") {
            (&server.accept()?.0).write_all(b"pong\n")?;
        }
        let answer = wires[0].answer()?.status(200)?;
        ensure!(!answer.text().starts_with("error"), "{path}: {answer:?}");
    }
    ensure!(!waits.ready()?, "one more is served");
    drop(wires.pop());
    waits.answer()?.is(200, "hello")?;
    web.end()
}

/// A guest that asks for more memory than the container's limit is refused.
fn memory(daemon: &Containerd) -> Result<()> {
    let web = limited(daemon).serve()?;
    web.get("/memory?8")?.is(200, "got")?;
    web.get("/memory?256")?.is(200, "refused")?;
    web.get("/memory?8")?.is(200, "got")?;
    web.end()
}

/// The limit holds for concurrent instances together; freed memory is available to the next.
fn memory_at_once(daemon: &Containerd) -> Result<()> {
    let web = limited(daemon).serve()?;
    for _ in 0..3 {
        let mut wires = (0..8).map(|_| web.ask("/memory?20")).collect::<Result<Vec<_>>>()?;
        for wire in &mut wires {
            let answer = wire.answer()?;
            let fits = matches!((answer.status, answer.text().trim()), (200, "got" | "refused") | (503, _));
            ensure!(fits, "{answer:?}");
        }
        web.get("/memory?20")?.is(200, "got")?;
    }
    web.end()
}

/// With memory for few instances requests wait for these, and each is answered.
fn memory_queue(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).flag("--memory-limit", &(16 << 20).to_string()).serve()?;
    let mut wires = (0..60).map(|_| web.ask("/sleep?100")).collect::<Result<Vec<_>>>()?;
    for wire in &mut wires {
        wire.answer()?.is(200, "slept")?;
    }
    web.end()
}

/// A guest that traps for lack of memory is a 500, and the log says how much it could have.
fn memory_trap(daemon: &Containerd) -> Result<()> {
    let web = limited(daemon).serve()?;
    web.get("/greedy?256")?.status(500)?;
    web.logs("the container's limit leaves its guest 65011712 bytes of memory: it held")?;
    web.get("/")?.is(200, "hello")?;
    web.end()
}

fn limited(daemon: &Containerd) -> e2e::ctr::Run<'_> {
    all(daemon).flag("--memory-limit", &(64 << 20).to_string())
}
