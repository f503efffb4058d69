//! Commands of WASI 0.3, built with the crate `wasip3`: everything that differs from 0.2.

use std::io::{Read as _, Write as _};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::net::Net;
use e2e::process::LIMIT;
use e2e::runner::Scenario;

use crate::data::shared_dir;

const GUEST: &str = "/guests/command-p3.wasm";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("wasm-p3-spec", spec),
        Scenario::ours("wasm-p3-input", input),
        Scenario::ours("wasm-p3-files", files),
        Scenario::ours("wasm-p3-ends", ends),
        Scenario::ours("wasm-p3-network", network),
    ]
}

fn command<'a>(daemon: &'a Containerd, args: &[&str]) -> Run<'a> {
    daemon.run("command").args(&[&[GUEST], args].concat())
}

/// Arguments, environment, working directory and a file of the image.
fn spec(daemon: &Containerd) -> Result<()> {
    let output =
        command(daemon, &["hello", "/etc/group"]).env("GREETING=hello").cwd("/bin").finish()?.ok()?;
    for line in
        ["args: /guests/command-p3.wasm hello /etc/group", "env: GREETING=hello", "cwd: /bin", "file: "]
    {
        ensure!(output.stdout.contains(line), "{output:?}");
    }
    Ok(())
}

/// Standard input is streamed to the guest and ends with the client's.
fn input(daemon: &Containerd) -> Result<()> {
    let mut cat = command(daemon, &["cat"]).start()?;
    daemon.becomes("command", "RUNNING")?;
    cat.types("over\n")?;
    cat.says("over\n", LIMIT)?;
    cat.feed("and out\n")?;
    cat.says("and out\n", LIMIT)?;
    cat.finish(LIMIT)?.ok().map(drop)
}

fn files(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "commands03")?;
    let write = |access| command(daemon, &["write", "/outbox/new", "from 0.3"]).bind(&dir, "/outbox", access);
    write(true).finish()?.ok()?;
    let note = std::fs::read_to_string(dir.join("new"))?;
    ensure!(note == "from 0.3", "{note:?}");
    write(false).finish()?.exits(1).map(drop)
}

/// Exit codes, clocks and random numbers; a signal ends it like any other.
fn ends(daemon: &Containerd) -> Result<()> {
    command(daemon, &["exit", "42"]).finish()?.exits(42)?;
    command(daemon, &["fail"]).finish()?.exits(1)?;
    let output = command(daemon, &["wait", "20"]).finish()?.ok()?;
    ensure!(output.stdout == "waited\n", "{output:?}");
    let random = || command(daemon, &["random"]).finish()?.ok();
    ensure!(random()?.stdout != random()?.stdout, "the same random numbers twice");
    let waits = command(daemon, &["wait", "60000"]).start()?;
    daemon.becomes("command", "RUNNING")?;
    daemon.kill("command", "SIGTERM", false)?;
    waits.finish(LIMIT)?.exits(143).map(drop)
}

/// Sockets and requests, within the rules of the container.
fn network(daemon: &Containerd) -> Result<()> {
    let net = Net::hold()?;
    let listener = net.listen("127.0.0.1:9000")?;
    let server = thread::spawn(move || -> Result<()> {
        listener.accept().context("no client connected")?.0.write_all(b"pong\n")?;
        let mut client = listener.accept().context("no request came")?.0;
        // Closing with unread data would reset the connection.
        ensure!(client.read(&mut [0; 1024])? > 0, "the request is empty");
        Ok(client.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?)
    });
    let ask = |verb, what| command(daemon, &[verb, what]).network(&net);
    let output = ask("ping", "127.0.0.1:9000").finish()?.ok()?;
    ensure!(output.stdout == "pong\n", "{output:?}");
    let output = ask("get", "http://127.0.0.1:9000/").finish()?.ok()?;
    ensure!(output.stdout == "204\n", "{output:?}");
    server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    let denied = ask("ping", "127.0.0.1:9000").annotation("lighter.wasm/allowed-outbound", "10.0.0.1:80");
    denied.finish()?.exits(1).map(drop)
}
