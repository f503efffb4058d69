//! Components of WASI 0.3 that answer HTTP requests: the same guarantees as for 0.2.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::http::client::{Text, get, h2, io, wait, whole};
use e2e::http::upstream::Upstream;
use e2e::runner::Scenario;

use super::outgoing::fetches;
use crate::data::shared_dir;

/// A guest with a path for each difference between 0.3 and 0.2.
const P3: &[&str] = &["/guests/http-p3.wasm"];
/// The body of the answer when a guest fails.
const FAILED: &str = "the application failed; see its log";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-p3-hello", hello),
        Scenario::ours("http-p3-echo-both-ways", echo),
        Scenario::ours("http-p3-trailers", trailers),
        Scenario::ours("http-p3-big-answer", big),
        Scenario::ours("http-p3-failures", failures),
        Scenario::ours("http-p3-timeout", timeout),
        Scenario::ours("http-p3-max-body", body),
        Scenario::ours("http-p3-afterwards", afterwards),
        Scenario::ours("http-p3-get", outgoing),
        Scenario::ours("http-p3-allowed", allowed),
        Scenario::ours("http-p3-folders", dirs),
    ]
}

fn p3(daemon: &Containerd) -> Run<'_> {
    daemon.run("web").args(P3)
}

/// By HTTP/1.1 and HTTP/2, several requests on a connection, with and without reuse of instances.
fn hello(daemon: &Containerd) -> Result<()> {
    says_hello(p3(daemon))?;
    says_hello(p3(daemon).annotation("lighter.wasm/http.reuse", "2"))
}

fn says_hello(run: Run<'_>) -> Result<()> {
    let web = run.serve()?;
    let mut wire = web.wire()?;
    for _ in 0..3 {
        wire.asks("/hello")?;
        wire.answer()?.is(200, "hello")?;
    }
    let stream = web.connect()?;
    wait(async {
        let sender = h2::<Text>(io(stream)?).await?;
        for _ in 0..3 {
            let (status, text, _) = whole(sender.clone().send_request(get("/hello")?).await?).await?;
            ensure!((status, text.as_str()) == (200, "hello\n"), "{status} {text:?}");
        }
        Ok(())
    })?;
    web.get("/none")?.is(404, "no such path")?;
    web.end()
}

/// Each chunk is echoed before the next one is sent, whether the guest copies it or passes the stream on.
fn echo(daemon: &Containerd) -> Result<()> {
    let web = p3(daemon).serve()?;
    for path in ["/echo", "/pass"] {
        let mut wire = web.wire()?;
        wire.posts(path)?;
        wire.sends_chunk("0")?;
        wire.head()?.status(200)?;
        for round in 0..10 {
            let chunk = wire.chunk()?.with_context(|| format!("{path} ended"))?;
            ensure!(chunk == round.to_string().as_bytes(), "{chunk:?} in round {round}");
            wire.sends_chunk(&(round + 1).to_string())?;
        }
        wire.sends_chunk("")?;
        ensure!(wire.chunk()?.as_deref() == Some(b"10"), "the last chunk of {path} is lost");
        ensure!(wire.chunk()?.is_none(), "{path} does not end");
    }
    web.end()
}

/// The request's trailers come back as the answer's.
fn trailers(daemon: &Containerd) -> Result<()> {
    let web = p3(daemon).serve()?;
    for path in ["/echo", "/pass"] {
        let mut wire = web.wire()?;
        wire.send(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nTrailer: x-in\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-In: seven\r\n\r\n"
        ))?;
        let answer = wire.answer()?.is(200, "abc")?;
        let echoed = answer.trailers.contains(&("x-in".into(), "seven".into()));
        ensure!(echoed, "{path}: {:?}", answer.trailers);
    }
    web.end()
}

/// More than all buffers on the way can hold.
fn big(daemon: &Containerd) -> Result<()> {
    const BYTES: usize = 64 << 20;
    let web = p3(daemon).serve()?;
    let answer = web.get(&format!("/big?{BYTES}"))?.status(200)?;
    ensure!(answer.body.len() == BYTES, "{} bytes", answer.body.len());
    web.end()
}

/// The client gets the status that can still be sent, and the log the full reason.
fn failures(daemon: &Containerd) -> Result<()> {
    let web = p3(daemon).serve()?;
    for (path, line) in [
        ("/trap", "GET /trap: 500: the guest trapped:"),
        ("/decline", "GET /decline: 500: the guest answered with the error ErrorCode::ConfigurationError"),
    ] {
        let mut wire = web.ask(path)?;
        wire.answer()?.is(500, FAILED)?;
        web.logs(line)?;
        wire.asks("/")?;
        wire.answer()?.is(200, "hello")?;
    }
    web.logs("wasm backtrace:")?;
    let mut wire = web.ask("/late-trap")?;
    wire.head()?.status(200)?;
    ensure!(wire.chunk()?.as_deref() == Some(b"first"), "no first chunk");
    let rest = String::from_utf8_lossy(&wire.rest()?).into_owned();
    ensure!(!rest.contains("0\r\n\r\n"), "the body seems whole: {rest:?}");
    web.logs("in the middle of its answer, the guest trapped:")?;
    web.lives()?;
    web.end()
}

/// The timeout ends a guest that computes and one that waits; the slot is free afterwards.
fn timeout(daemon: &Containerd) -> Result<()> {
    let settings = [("timeout", "500ms"), ("concurrency", "1"), ("queue", "0")];
    let run = settings
        .iter()
        .fold(p3(daemon), |run, (name, value)| run.annotation(&format!("lighter.wasm/http.{name}"), value));
    let web = run.serve()?;
    for path in ["/burn", "/sleep?60000"] {
        web.get(path)?.is(504, "the application took too long")?;
        web.get("/sleep?10")?.is(200, "slept")?;
    }
    web.end()
}

/// A body is refused unread if its Content-Length exceeds the limit; a chunked one is an error for the guest.
fn body(daemon: &Containerd) -> Result<()> {
    let web = p3(daemon).annotation("lighter.wasm/http.max-body", "1Ki").serve()?;
    let mut wire = web.wire()?;
    wire.send("POST /length HTTP/1.1\r\nHost: test\r\nContent-Length: 1025\r\n\r\n")?;
    wire.answer()?.is(413, "the request's body is too long")?;
    for (length, answer) in [(1024, "1024"), (1025, "error: ErrorCode::HttpRequestBodySize(None)")] {
        let mut wire = web.wire()?;
        wire.posts("/length")?;
        wire.sends_chunk(&"x".repeat(length))?;
        wire.sends_chunk("")?;
        wire.answer()?.is(200, answer)?;
    }
    web.end()
}

/// Work that a guest does after its answer is completed.
fn afterwards(daemon: &Containerd) -> Result<()> {
    let web = p3(daemon).serve()?;
    web.get("/afterwards?300")?.is(200, "answered")?;
    web.logs("afterwards")?;
    web.end()
}

/// Requests, sockets and look-ups use the container's network.
fn outgoing(daemon: &Containerd) -> Result<()> {
    const REQUESTS: usize = 20;
    let web = p3(daemon).serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    for _ in 0..REQUESTS {
        web.get(&format!("/get?{}", upstream.url("/path")))?.is(200, "asked for /path")?;
    }
    let opened = upstream.connections();
    ensure!(opened <= REQUESTS / 5, "{opened} connections for {REQUESTS} requests");
    web.get(&format!("/connect?127.0.0.1:{}", upstream.port))?.is(200, "connected")?;
    web.get("/lookup?127.0.0.9")?.is(200, "127.0.0.9")?;
    let gone = upstream.url("/");
    drop(upstream);
    fetches(&web, &gone, "error: ErrorCode::ConnectionRefused")?;
    web.end()
}

/// The same rules apply to what may be reached.
fn allowed(daemon: &Containerd) -> Result<()> {
    let web = p3(daemon).annotation("lighter.wasm/allowed-outbound", "127.0.0.1").serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    let port = upstream.port;
    fetches(&web, &upstream.url("/"), "asked for /")?;
    fetches(&web, &format!("http://127.0.0.2:{port}/"), "error: ErrorCode::HttpRequestDenied")?;
    web.get("/connect?127.0.0.2:81")?.is(200, "error: ErrorCode::AccessDenied")?;
    web.logs("lighter: the guest may not connect to 127.0.0.2:81")?;
    web.end()
}

/// A file of the container, and its standard streams.
fn dirs(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-p3-dirs")?;
    fs::write(dir.join("greeting"), "hello from a file\n")?;
    let file = dir.join("greeting");
    let web = p3(daemon).bind(&file, "/greeting", false).serve()?;
    web.get("/file?/greeting")?.is(200, "hello from a file")?;
    web.get("/file?/none")?.is(200, "error: ErrorCode::NoEntry")?;
    web.get("/log?a-line-of-0.3")?.is(200, "logged")?;
    web.logs("a-line-of-0.3")?;
    web.end()
}
