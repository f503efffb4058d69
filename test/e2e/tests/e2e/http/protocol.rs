//! HTTP/1.0, HTTP/1.1 and HTTP/2: keep-alive, pipelining, concurrent streams.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::client::{Text, get, h1, h2, io, wait, whole};
use e2e::process::SLOW;
use e2e::runner::Scenario;

use super::{HELLO, all};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-hello", hello),
        Scenario::ours("http-keep-alive", keep_alive),
        Scenario::ours("http-pipelining", pipelining),
        Scenario::ours("http-head", head),
        Scenario::ours("http-1.0", old),
        Scenario::ours("http-2", two),
        Scenario::ours("http-2-streams", streams),
        Scenario::ours("http-request-seen", seen),
    ]
}

fn hello(daemon: &Containerd) -> Result<()> {
    let web = daemon.run("web").args(HELLO).serve()?;
    web.get("/")?.is(200, "hello")?;
    web.get("/any/path?at=all")?.is(200, "hello")?;
    web.end()
}

/// Two requests on one connection, by hyper's client.
fn keep_alive(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let stream = web.connect()?;
    wait(async {
        let mut sender = h1::<Text>(io(stream)?).await?;
        for _ in 0..2 {
            sender.ready().await?;
            let (status, text, _) = whole(sender.send_request(get("/")?).await?).await?;
            ensure!((status, text.as_str()) == (200, "hello\n"), "{status} {text:?}");
        }
        Ok(())
    })?;
    web.end()
}

/// Answers come in the order of the requests, which are all sent at once.
fn pipelining(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    wire.send(["/sleep?100", "/none", "/headers?3"].map(request).concat())?;
    wire.answer()?.is(200, "slept")?;
    wire.answer()?.is(404, "no such path")?;
    wire.answer()?.says("path: /headers?3\n")?;
    web.end()
}

/// HEAD: no body, and the connection stays usable.
fn head(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")?;
    let head = wire.head()?.status(200)?;
    ensure!(head.header("content-type") == Some("text/plain"), "{head:?}");
    wire.asks("/")?;
    wire.answer()?.is(200, "hello")?;
    web.end()
}

/// HTTP/1.0: no chunks, and the body ends with the connection.
fn old(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.send("GET / HTTP/1.0\r\n\r\n")?;
    let answer = wire.answer()?.is(200, "hello")?;
    ensure!(answer.header("transfer-encoding").is_none(), "{answer:?}");
    wire.closed()?;
    web.end()
}

/// HTTP/2 with prior knowledge; the guest sees the pseudo-headers.
fn two(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let stream = web.connect()?;
    let (status, text, _) = wait(async {
        let mut sender = h2::<Text>(io(stream)?).await?;
        whole(sender.send_request(get("/headers")?).await?).await
    })?;
    let seen = "method: GET\npath: /headers\nscheme: http\nauthority: test\n";
    ensure!(status == 200 && text.starts_with(seen), "{status} {text:?}");
    web.end()
}

/// A waiting request does not block others on the same connection.
fn streams(daemon: &Containerd) -> Result<()> {
    const STREAMS: u32 = 20;
    const EACH: Duration = Duration::from_millis(300);
    let web = all(daemon).serve()?;
    let stream = web.connect()?;
    let begin = Instant::now();
    wait(async {
        let sender = h2::<Text>(io(stream)?).await?;
        let requests: Vec<_> = (0..STREAMS)
            .map(|_| {
                let mut sender = sender.clone();
                tokio::spawn(async move { whole(sender.send_request(get("/sleep?300")?).await?).await })
            })
            .collect();
        for request in requests {
            let (status, text, _) = request.await??;
            ensure!((status, text.as_str()) == (200, "slept\n"), "{status} {text:?}");
        }
        Ok(())
    })?;
    let took = begin.elapsed();
    ensure!(took < EACH * STREAMS / 2 * *SLOW, "the requests ran one after the other: {took:?}");
    web.end()
}

/// The guest sees the request unchanged.
fn seen(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.send("PURGE /headers?a=%20b HTTP/1.1\r\nHost: example.test:81\r\nX-One: 1\r\nx-one: 2\r\n\r\n")?;
    let seen = "method: PURGE\npath: /headers?a=%20b\nscheme: http\nauthority: example.test:81\n";
    wire.answer()?.status(200)?.says(seen)?.says("x-one: 1\nx-one: 2\n")?;
    web.end()
}
