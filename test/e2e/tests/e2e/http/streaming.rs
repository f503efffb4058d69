//! Streamed bodies: chunks, echoes, events, trailers, Expect: 100-continue.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::client::{get, h2, io, wait, whole};
use e2e::runner::Scenario;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};

use super::all;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-chunked-body", chunked),
        Scenario::ours("http-expect-continue", expect),
        Scenario::ours("http-echo-both-ways", echo),
        Scenario::ours("http-events", events),
        Scenario::ours("http-big-answer", big),
        Scenario::ours("http-trailers", trailers),
        Scenario::ours("http-2-trailers", trailers_two),
    ]
}

fn chunked(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.posts("/echo")?;
    ["one ", "two ", "three", ""].iter().try_for_each(|chunk| wire.sends_chunk(chunk))?;
    wire.answer()?.is(200, "one two three")?;
    web.end()
}

/// With Expect the server sends 100 only when the guest reads the body.
fn expect(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let asks = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    };
    let mut wire = web.wire()?;
    // This path reads the whole body before it answers.
    wire.send(asks("/trailers"))?;
    wire.head()?.status(100)?;
    wire.send("body")?;
    wire.answer()?.is(200, "body")?;
    let mut wire = web.wire()?;
    wire.send(asks("/none"))?;
    wire.answer()?.is(404, "no such path")?;
    web.end()
}

/// Each chunk is echoed before the next one is sent.
fn echo(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.posts("/echo")?;
    wire.sends_chunk("0")?;
    wire.head()?.status(200)?;
    for round in 0..10 {
        let chunk = wire.chunk()?.context("it ended")?;
        ensure!(chunk == round.to_string().as_bytes(), "{chunk:?} in round {round}");
        wire.sends_chunk(&(round + 1).to_string())?;
    }
    wire.sends_chunk("")?;
    ensure!(wire.chunk()?.as_deref() == Some(b"10"), "the last chunk is lost");
    ensure!(wire.chunk()?.is_none(), "it does not end");
    web.end()
}

/// Events arrive as they happen, not together at the end.
fn events(daemon: &Containerd) -> Result<()> {
    const APART: Duration = Duration::from_millis(100);
    let web = all(daemon).serve()?;
    let mut wire = web.ask("/sse?4")?;
    let head = wire.head()?;
    ensure!(head.header("content-type") == Some("text/event-stream"), "{head:?}");
    let mut first = None;
    for event in 0..4 {
        let chunk = wire.chunk()?.context("it ended")?;
        ensure!(chunk == format!("data: {event}\n\n").as_bytes(), "{:?}", String::from_utf8_lossy(&chunk));
        first.get_or_insert_with(Instant::now);
    }
    let took = first.context("no event")?.elapsed();
    ensure!(took > APART * 2, "all events came within {took:?}");
    web.end()
}

/// More than all buffers on the way can hold.
fn big(daemon: &Containerd) -> Result<()> {
    const BYTES: usize = 64 << 20;
    let web = all(daemon).serve()?;
    let answer = web.get(&format!("/big?{BYTES}"))?.status(200)?;
    ensure!(answer.body.len() == BYTES, "{} bytes", answer.body.len());
    ensure!(answer.body.iter().all(|byte| *byte == b'x'), "other bytes than were written");
    web.end()
}

/// Trailers arrive, both ways.
fn trailers(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.send(
        "POST /trailers HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nTrailer: x-in\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-In: seven\r\n\r\n",
    )?;
    let answer = wire.answer()?.is(200, "body")?;
    let has = |name: &str, value: &str| answer.trailers.contains(&(name.into(), value.into()));
    ensure!(has("x-sum", "5") && has("x-got-x-in", "seven"), "{:?}", answer.trailers);
    wire.asks("/")?;
    wire.answer()?.is(200, "hello")?;
    web.end()
}

/// The same by HTTP/2.
fn trailers_two(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let stream = web.connect()?;
    let trailers = wait(async {
        let mut sender = h2(io(stream)?).await?;
        let mut sent = HeaderMap::new();
        sent.insert("x-in", "seven".parse()?);
        let body = http_body_util::Full::new(Bytes::from("abc")).with_trailers(async { Some(Ok(sent)) });
        let (head, _) = get("/trailers")?.into_parts();
        let mut request = Request::from_parts(head, Box::pin(body));
        *request.method_mut() = hyper::Method::POST;
        let (status, text, trailers) = whole(sender.send_request(request).await?).await?;
        ensure!((status, text.as_str()) == (200, "body\n"), "{status} {text:?}");
        Ok(trailers)
    })?;
    ensure!(trailers.get("x-sum").is_some_and(|value| value == "5"), "{trailers:?}");
    ensure!(trailers.get("x-got-x-in").is_some_and(|value| value == "seven"), "{trailers:?}");
    web.end()
}
