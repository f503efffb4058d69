//! What a guest gets for each request, and what it never gets.

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::kernel;
use e2e::runner::Scenario;
use std::net::Ipv4Addr;

use super::{all, set};
use crate::data::shared_dir;
use crate::jail::USER;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-copy-each", |daemon| counts(daemon, "1", "1 1 1 1 1 1 1")),
        Scenario::ours("http-reuse", |daemon| counts(daemon, "3", "1 2 3 1 2 3 1")),
        Scenario::ours("http-reuse-trap", reuse_trap),
        Scenario::ours("http-reuse-once", reuse_once),
        Scenario::ours("http-environment", environment),
        Scenario::ours("http-config", config),
        Scenario::ours("http-volume", volume),
        Scenario::ours("http-output", output),
        Scenario::ours("http-random", random),
        Scenario::ours("http-jail", jail),
    ]
}

/// Each instance counts its requests.
fn counts(daemon: &Containerd, reuse: &str, expected: &str) -> Result<()> {
    let web = set(daemon, &[("reuse", reuse)]).serve()?;
    let mut wire = web.wire()?;
    let mut counted = Vec::new();
    for _ in expected.split(' ') {
        wire.asks("/count")?;
        counted.push(wire.answer()?.status(200)?.text().trim().to_owned());
    }
    ensure!(counted.join(" ") == expected, "{counted:?}");
    web.end()
}

/// An instance that trapped is not reused.
fn reuse_trap(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("reuse", "100")]).serve()?;
    web.get("/count")?.is(200, "1")?;
    web.get("/count")?.is(200, "2")?;
    web.get("/trap")?.status(500)?;
    web.get("/count")?.is(200, "1")?;
    web.end()
}

/// If a reused instance fails, a fresh one answers, provided that the request is idempotent.
fn reuse_once(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("reuse", "100")]).serve()?;
    let mut wire = web.wire()?;
    for _ in 0..5 {
        wire.asks("/once")?;
        wire.answer()?.is(200, "once")?;
    }
    wire.posts("/once")?;
    wire.sends_chunk("")?;
    wire.answer()?.status(500)?;
    web.get("/count")?.is(200, "1")?;
    web.logs("a fresh one is asked")?;
    web.end()
}

/// The container's arguments and environment, as for any other guest.
fn environment(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).args(&["one", "two words"]).env("A=b").env("PORT=8080").serve()?;
    web.get("/args")?.is(200, "/guests/http-all.wasm\none\ntwo words")?;
    web.get("/env")?.status(200)?.says("A=b\n")?.says("PATH=/bin\n")?.says("PORT=8080\n")?;
    web.end()
}

/// `wasi:config` gives the same environment, and no annotations.
fn config(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("timeout", "10s")]).env("GREETING=good day").env("EMPTY=").serve()?;
    web.get("/config?GREETING")?.is(200, "good day")?;
    web.get("/config?EMPTY")?.is(200, "")?;
    for key in ["greeting", "NONE", "lighter.wasm/http.timeout"] {
        web.get(&format!("/config?{key}"))?.is(404, "no such key")?;
    }
    let (listed, environment) = (web.get("/config")?.status(200)?, web.get("/env")?);
    ensure!(listed.text() == environment.text(), "{:?} of {:?}", listed.text(), environment.text());
    listed.says("EMPTY=\n")?.says("GREETING=good day\n")?.says("PATH=/bin\n")?;
    web.end()
}

/// The root and its volumes, with the user's permissions.
fn volume(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-volume")?;
    let web = all(daemon).user(Some(USER)).bind(&dir, "/outbox", false).serve()?;
    web.get("/file?/outbox/note")?.is(200, "from the host")?;
    web.get("/file?/etc/group")?.status(200)?.says("root:x:0:")?;
    web.get("/file?/secret")?.status(404)?.says("ermission")?;
    web.get("/file?/outbox/../../../etc/shadow")?.status(404)?;
    web.end()
}

/// stdout and stderr of guests both go to the container's log.
fn output(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    web.get("/log?one")?.is(200, "logged")?;
    web.get("/log?other")?.is(200, "logged")?;
    web.logs("one\none\nother\nother\n")?;
    web.end()
}

fn random(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let (one, other) = (web.get("/random")?.text(), web.get("/random")?.text());
    ensure!(one.trim().len() == 16 && one != other, "{one:?} and {other:?}");
    web.end()
}

/// A server on a privileged port has no capabilities when it serves.
fn jail(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).env("PORT=80").serve()?.at((Ipv4Addr::LOCALHOST, 80));
    web.get("/")?.is(200, "hello")?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let held = kernel::status(web.pid, set)?;
        ensure!(held == "0".repeat(16), "{set} is {held}");
    }
    ensure!(kernel::status(web.pid, "NoNewPrivs")? == "1", "it may gain privileges");
    ensure!(kernel::status(web.pid, "Seccomp")? == "2", "it has no filter");
    web.end()
}
