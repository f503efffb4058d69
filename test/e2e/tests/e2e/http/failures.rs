//! Guests that fail: the client gets the status that can still be sent, and the log the full reason.

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::Served;
use e2e::http::client::{Text, get, h2, io, wait, whole};
use e2e::runner::Scenario;
use http_body_util::BodyExt as _;
use hyper::Request;
use tokio::sync::oneshot;

use super::all;

/// The body of the 500, whatever the reason.
const FAILED: &str = "the application failed; see its log";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-trap", |daemon| {
            fails(daemon, "/trap", &["GET /trap: 500: the guest trapped:", "unreachable", "wasm backtrace:"])
        }),
        Scenario::ours("http-silent", |daemon| {
            fails(daemon, "/silent", &["GET /silent: 500: the guest returned without an answer"])
        }),
        Scenario::ours("http-exit", |daemon| {
            fails(daemon, "/exit?3", &["GET /exit: 500: the guest trapped: it called exit(3)"])
        }),
        Scenario::ours("http-late-trap", late_trap),
        Scenario::ours("http-mid-trap", mid_trap),
        Scenario::ours("http-2-mid-trap", mid_trap_two),
        Scenario::ours("http-cut-answer", cut),
        Scenario::ours("http-2-failures", by_two),
        Scenario::ours("http-trap-alone", alone),
    ]
}

/// The answer is 500, the log has the reason, and the server still answers, even on the same connection.
fn fails(daemon: &Containerd, path: &str, words: &[&str]) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.ask(path)?;
    let answer = wire.answer()?.is(500, FAILED)?;
    ensure!(answer.header("content-type") == Some("text/plain"), "{answer:?}");
    words.iter().try_for_each(|word| web.logs(word))?;
    wire.asks("/")?;
    wire.answer()?.is(200, "hello")?;
    web.lives()?;
    web.end()
}

/// A guest that traps right after it began its answer: in most cases nothing has been sent yet, and the answer is 500;
/// if other tasks ran in between, the answer is cut.
fn late_trap(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut failed = 0;
    for _ in 0..10 {
        let mut wire = web.ask("/late-trap")?;
        let rest = match wire.answer() {
            Ok(answer) => {
                answer.is(500, FAILED)?;
                failed += 1;
                continue;
            }
            Err(_) => String::from_utf8_lossy(&wire.rest()?).into_owned(),
        };
        ensure!(!rest.contains("0\r\n\r\n"), "the body seems whole: {rest:?}");
    }
    ensure!(failed > 5, "the answer was 500 in {failed} of 10 cases");
    web.logs("GET /late-trap: 500: the guest trapped:")?;
    web.logs("wasm backtrace:")?;
    web.lives()?;
    web.end()
}

/// An answer that the guest does not finish is visibly truncated.
fn cut(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.posts("/echo")?;
    wire.sends_chunk("first")?;
    wire.head()?.status(200)?;
    ensure!(wire.chunk()?.as_deref() == Some(b"first"), "no echo");
    wire.send("no size\r\n")?;
    drop(wire.shut());
    let rest = String::from_utf8_lossy(&wire.rest()?).into_owned();
    ensure!(!rest.contains("0\r\n\r\n"), "the body seems whole: {rest:?}");
    web.logs("http-all: the answer of /echo was cut short")?;
    web.lives()?;
    web.end()
}

/// A guest that traps after the client received the first chunk: the answer is visibly truncated.
fn mid_trap(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.posts("/mid-trap")?;
    wire.head()?.status(200)?;
    ensure!(wire.chunk()?.as_deref() == Some(b"first\n"), "no first chunk");
    wire.sends_chunk("")?;
    wire.closed()?;
    logged_once(&web)
}

/// The same by HTTP/2, where only the stream is reset, not the connection.
fn mid_trap_two(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let stream = web.connect()?;
    wait(async {
        let (end, ended) = oneshot::channel::<()>();
        let body = Text::default().with_trailers(async { ended.await.err().and(None) });
        let request = Request::post("http://test/mid-trap").body(Box::pin(body).boxed())?;
        let mut sender = h2(io(stream)?).await?;
        let mut answer = sender.send_request(request).await?;
        ensure!(answer.status() == 200, "status {}", answer.status());
        let first = answer.body_mut().frame().await.context("no first chunk")??;
        ensure!(first.data_ref().is_some_and(|first| first == "first\n"), "it begins with {first:?}");
        drop(end);
        let rest = answer.body_mut().frame().await;
        ensure!(matches!(rest, Some(Err(_))), "the body seems whole: {rest:?}");
        let request = get("/")?.map(|body| Box::pin(body.with_trailers(async { None })).boxed());
        let (status, text, _) = whole(sender.send_request(request).await?).await?;
        ensure!((status, text.as_str()) == (200, "hello\n"), "{status} {text:?}");
        Ok(())
    })?;
    logged_once(&web)
}

/// The log has one line about the trap, with its backtrace, and the server lives on.
fn logged_once(web: &Served<'_>) -> Result<()> {
    web.logs("wasm backtrace:")?;
    let log = web.log();
    let logged: Vec<&str> = log.lines().filter(|line| line.starts_with("lighter: ")).collect();
    let begins = "lighter: in the middle of its answer, the guest trapped: ";
    ensure!(logged.len() == 1 && logged[0].starts_with(begins), "the log says {log:?}");
    web.lives()?;
    web.end()
}

/// A stream's failure does not affect other streams.
fn by_two(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let stream = web.connect()?;
    wait(async {
        let sender = h2::<Text>(io(stream)?).await?;
        let asked = |path: &str| {
            let (mut sender, request) = (sender.clone(), get(path));
            tokio::spawn(async move { whole(sender.send_request(request?).await?).await })
        };
        let slow = asked("/sleep?300");
        for path in ["/trap", "/silent", "/exit?3"] {
            let (status, text, _) = asked(path).await??;
            ensure!(status == 500 && text.trim_end() == FAILED, "{path}: {status} {text:?}");
        }
        let (status, text, _) = slow.await??;
        ensure!((status, text.as_str()) == (200, "slept\n"), "{status} {text:?}");
        Ok(())
    })?;
    web.end()
}

/// Many failures at once do not affect another request that is being answered.
fn alone(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut slow = web.ask("/sleep?500")?;
    let mut failing = (0..50).map(|_| web.ask("/trap")).collect::<Result<Vec<_>>>()?;
    failing.iter_mut().try_for_each(|wire| wire.answer()?.status(500).map(drop))?;
    slow.answer()?.is(200, "slept")?;
    web.end()
}
