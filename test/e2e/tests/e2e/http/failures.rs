//! Guests that fail: each tells its client what can still be told, and its operator all of it.

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::client::{Text, get, h2, io, wait, whole};
use e2e::runner::Scenario;

use super::all;

/// What a client is told, whatever the reason.
const FAILED: &str = "the application failed; its log tells why";

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
        Scenario::ours("http-late-trap", |daemon| {
            fails(daemon, "/late-trap", &["GET /late-trap: 500: the guest trapped:", "wasm backtrace:"])
        }),
        Scenario::ours("http-cut-answer", cut),
        Scenario::ours("http-2-failures", by_two),
        Scenario::ours("http-trap-alone", alone),
    ]
}

/// 500, the reason in the log, and the server lives, on the same connection even.
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

/// An answer that its guest does not finish is visibly cut.
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

/// One stream's failure is no other's.
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
        for path in ["/trap", "/silent", "/exit?3", "/late-trap"] {
            let (status, text, _) = asked(path).await??;
            ensure!(status == 500 && text.trim_end() == FAILED, "{path}: {status} {text:?}");
        }
        let (status, text, _) = slow.await??;
        ensure!((status, text.as_str()) == (200, "slept\n"), "{status} {text:?}");
        Ok(())
    })?;
    web.end()
}

/// Many failures at once, while another request is being answered, cost nobody else anything.
fn alone(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut slow = web.ask("/sleep?500")?;
    let mut failing = (0..50).map(|_| web.ask("/trap")).collect::<Result<Vec<_>>>()?;
    failing.iter_mut().try_for_each(|wire| wire.answer()?.status(500).map(drop))?;
    slow.answer()?.is(200, "slept")?;
    web.end()
}
