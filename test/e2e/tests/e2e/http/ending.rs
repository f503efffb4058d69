//! Shutdown of a server: it accepts nothing new, and completes running requests within the grace period.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::census::Census;
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::http::Served;
use e2e::http::wire::Wire;
use e2e::process::{LIMIT, SLOW, poll};
use e2e::runner::Scenario;

use super::{all, set};

/// Well below the default grace of 25 s.
const PROMPT: Duration = Duration::from_secs(5);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-drain", drain),
        Scenario::ours("http-drain-body", drain_body),
        Scenario::ours("http-sigterm-idle", idle),
        Scenario::ours("http-sigterm-busy", busy),
        Scenario::ours("http-grace", grace),
        Scenario::ours("http-sigterm-twice", twice),
        Scenario::ours("http-sigkill", sigkill),
        Scenario::ours("http-exec", exec),
        Scenario::ours("http-nothing-left", nothing_left),
    ]
}

/// The running request is completed, then its connection is closed; new connections are refused.
fn drain(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut slow = working(&web, "/sleep?1500")?;
    daemon.kill("web", "SIGTERM", false)?;
    poll("new connections to be refused", PROMPT, || Ok(web.connect().is_err().then_some(())))?;
    ensure!(daemon.task("web")?.status == "RUNNING", "it did not wait for its answer");
    slow.answer()?.is(200, "slept")?;
    slow.closed()?;
    web.ends(0)
}

/// The same for a request whose bodies are being transferred, both ways.
fn drain_body(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut wire = web.wire()?;
    wire.posts("/echo")?;
    wire.sends_chunk("before")?;
    wire.head()?.status(200)?;
    ensure!(wire.chunk()?.as_deref() == Some(b"before"), "no echo");
    daemon.kill("web", "SIGTERM", false)?;
    poll("new connections to be refused", PROMPT, || Ok(web.connect().is_err().then_some(())))?;
    wire.sends_chunk("after")?;
    ensure!(wire.chunk()?.as_deref() == Some(b"after"), "no echo after SIGTERM");
    wire.sends_chunk("")?;
    ensure!(wire.chunk()?.is_none(), "the echo does not end");
    web.ends(0)
}

/// Idle connections, used before or not, do not delay the shutdown.
fn idle(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let (mut used, unused) = (web.ask("/")?, web.wire()?);
    used.answer()?.is(200, "hello")?;
    let begin = Instant::now();
    daemon.kill("web", "SIGTERM", false)?;
    used.closed()?;
    web.ends(0)?;
    let took = begin.elapsed();
    ensure!(took < PROMPT * *SLOW, "it took {took:?}");
    drop(unused);
    Ok(())
}

/// A guest that computes without answering gets its timeout, not more.
fn busy(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("timeout", "1s")]).serve()?;
    let mut burning = working(&web, "/burn")?;
    daemon.kill("web", "SIGTERM", false)?;
    burning.answer()?.status(504)?;
    web.ends(0)
}

/// After the grace period unfinished requests are cut off, and the exit code is 143.
fn grace(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("grace", "1s"), ("timeout", "2m")]).serve()?;
    let mut slow = working(&web, "/sleep?60000")?;
    let begin = Instant::now();
    daemon.kill("web", "SIGTERM", false)?;
    slow.closed()?;
    let took = begin.elapsed();
    web.ends(143)?;
    ensure!(took >= Duration::from_millis(900) && took < PROMPT * *SLOW, "it took {took:?}");
    Ok(())
}

/// A second SIGTERM ends the grace period.
fn twice(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("timeout", "2m")]).serve()?;
    let mut slow = working(&web, "/sleep?60000")?;
    let begin = Instant::now();
    daemon.kill("web", "SIGTERM", false)?;
    poll("new connections to be refused", PROMPT, || Ok(web.connect().is_err().then_some(())))?;
    daemon.kill("web", "SIGTERM", false)?;
    slow.closed()?;
    web.ends(143)?;
    ensure!(begin.elapsed() < PROMPT * *SLOW, "it took {:?}", begin.elapsed());
    Ok(())
}

fn sigkill(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let mut slow = working(&web, "/sleep?60000")?;
    daemon.kill("web", "SIGKILL", false)?;
    slow.closed()?;
    web.ends(137)
}

/// Execs run in the container of a server, and end with it.
fn exec(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    daemon.exec("web", "one", Guest::Wasm.hello()).finish()?.ok()?.prints("hello")?;
    daemon.exec("web", "two", Guest::Wasm.three()).finish()?.exits(3)?;
    web.lives()?;
    let mut running = daemon.exec("web", "long", Guest::Wasm.ready()).start()?;
    running.says("ready", LIMIT)?;
    daemon.kill("web", "SIGTERM", false)?;
    running.finish(LIMIT)?.exits(137)?;
    web.ends(0)
}

/// After requests of all kinds, and failures, Delete leaves nothing behind.
fn nothing_left(daemon: &Containerd) -> Result<()> {
    let before = Census::take(daemon)?;
    let web = all(daemon).serve()?;
    let more = before.left_behind(&Census::take(daemon)?);
    ensure!(more.iter().any(|line| line.starts_with("process ")), "the census sees no process: {more:?}");
    web.get("/memory?8")?.is(200, "got")?;
    web.get("/trap")?.status(500)?;
    let _burning = web.ask("/burn")?;
    let _silent = web.connect()?;
    web.end()?;
    before.settled(daemon)
}

/// Requests `path`, and returns once the guest handles it: a later request was answered on the same thread.
fn working(web: &Served<'_>, path: &str) -> Result<Wire> {
    let wire = web.ask(path)?;
    web.lives().context("meanwhile")?;
    Ok(wire)
}
