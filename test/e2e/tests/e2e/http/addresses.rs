//! The address that a guest's server listens on: where it can be set, and the errors when it cannot be used.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::output::Output;
use e2e::process::run;
use e2e::runner::Scenario;

use super::{HELLO, all};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-address-sources", sources),
        Scenario::ours("http-address-ipv6", both_families),
        Scenario::ours("http-address-loopback", loopback),
        Scenario::ours("http-address-busy", busy),
        Scenario::ours("http-address-privileged", privileged),
        Scenario::ours("http-address-wrong", wrong),
    ]
}

/// The variables for the address; each overrides those above it, and the annotation overrides all.
const VARIABLES: [(&str, u16); 4] = [
    ("SPIN_HTTP_LISTEN_ADDR=127.0.0.1:3000", 3000),
    ("PORT=3001", 3001),
    ("WASMTIME_HTTP_PROXY_SOCKET_ADDR=0.0.0.0:3002", 3002),
    ("LIGHTER_HTTP_ADDRESS=:3003", 3003),
];

fn sources(daemon: &Containerd) -> Result<()> {
    let answers = |run: Run<'_>, port: u16| {
        let web = run.serve()?.at((Ipv4Addr::LOCALHOST, port));
        web.get("/")?.is(200, "hello")?;
        web.end()
    };
    let with = |count: usize| {
        let web = daemon.run("web").args(HELLO);
        VARIABLES[..count].iter().fold(web, |run, (variable, _)| run.env(variable))
    };
    answers(with(0), 8080).context("the default address")?;
    for (index, (variable, port)) in VARIABLES.into_iter().enumerate() {
        answers(with(index + 1), port).context(variable)?;
    }
    answers(with(VARIABLES.len()).annotation("lighter.wasm/http.address", "3004"), 3004).context("annotation")
}

/// A socket on `[::]` accepts IPv4, too, as with other servers.
fn both_families(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).annotation("lighter.wasm/http.address", "[::]:8080").serve()?;
    web.get("/")?.is(200, "hello")?;
    let web = web.at((Ipv6Addr::LOCALHOST, 8080));
    web.get("/")?.is(200, "hello")?;
    web.end()
}

/// A server on 127.0.0.1 cannot be reached at another address.
fn loopback(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).env("LIGHTER_HTTP_ADDRESS=localhost:8080").serve()?;
    web.get("/")?.is(200, "hello")?;
    let web = web.at((Ipv4Addr::new(127, 0, 0, 2), 8080));
    ensure!(web.connect().is_err(), "127.0.0.2 is answered");
    web.end()
}

/// The error of Start names the address in use; the container can be deleted, and the other one runs on.
fn busy(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let output = daemon.run("late").network(&web.net).args(HELLO).finish()?;
    refused(&output, &["cannot listen on 0.0.0.0:8080", "in use"])?;
    let second = daemon.run("later").network(&web.net).args(HELLO).serve();
    let error = second.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(error.contains("cannot listen on 0.0.0.0:8080"), "the error is {error:?}");
    run(&mut daemon.ctr(["tasks", "delete", "--force", "later"]))?;
    daemon.delete_container("later")?;
    web.lives()?;
    web.end()
}

/// A privileged port needs the container's CAP_NET_BIND_SERVICE, which the guest itself never has.
fn privileged(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).env("PORT=80").serve()?.at((Ipv4Addr::LOCALHOST, 80));
    web.get("/")?.is(200, "hello")?;
    web.end()?;
    let run = daemon.run("web").flag("--cap-drop", "CAP_NET_BIND_SERVICE").env("PORT=80").args(HELLO);
    refused(&run.finish()?, &["cannot listen on 0.0.0.0:80", "ermission denied"])
}

/// Create refuses an invalid value; the error names its source and the valid form.
fn wrong(daemon: &Containerd) -> Result<()> {
    for (env, words) in [
        ("PORT=http", "the variable PORT says \"http\"; it must be an address to listen on"),
        ("LIGHTER_HTTP_ADDRESS=example.org:80", "the variable LIGHTER_HTTP_ADDRESS says \"example.org:80\""),
        ("LIGHTER_HTTP_ADDRESS=0.0.0.0:0", "it must be an address to listen on"),
        (
            "LIGHTER_HTTP_REUSE=0",
            "the variable LIGHTER_HTTP_REUSE says \"0\"; it must be a whole number from 1",
        ),
        ("LIGHTER_HTTP_TIMEOUT=soon", "it must be a time such as 250ms, 30s or 2m"),
        ("LIGHTER_HTTP_HEALTH=up", "it must be a path that begins with /"),
    ] {
        refused(&daemon.run("web").env(env).args(HELLO).finish()?, &[words])?;
    }
    let run = daemon.run("web").annotation("lighter.wasm/http.address", "nowhere").args(HELLO);
    refused(&run.finish()?, &["the annotation lighter.wasm/http.address says \"nowhere\""])
}

/// `ctr` failed and printed `words`.
pub fn refused(output: &Output, words: &[&str]) -> Result<()> {
    ensure!(output.code != 0, "it ran; stdout {:?}", output.stdout);
    // Versions of ctr print the message with or without escaped quotes.
    let stderr = output.stderr.replace("\\\"", "\"");
    let missing = words.iter().find(|word| !stderr.contains(**word));
    ensure!(missing.is_none(), "ctr does not print {missing:?} but {stderr:?}");
    Ok(())
}
