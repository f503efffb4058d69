//! Listening sockets: on addresses that the container names, and on ports that the guest's user may bind.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::process::LIMIT;
use e2e::runner::Scenario;

use super::{Room, ready};
use crate::data::shared_dir;
use crate::jail::USER;

const LISTENER: &str = "/guests/listener-std.wasm";
const LISTEN: &str = "lighter.wasm/tcp-listen";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("sockets-tcp-listen", |daemon| {
            served(daemon, "127.0.0.1:8080", "127.0.0.1:8080", false)
        }),
        Scenario::ours("sockets-tcp-listen-env", |daemon| served(daemon, "8080", "127.0.0.5:8080", true)),
        Scenario::ours("sockets-tcp-listen-ipv6", |daemon| served(daemon, "[::]:8080", "[::1]:8080", false)),
        Scenario::ours("sockets-tcp-listen-low", |daemon| {
            served(daemon, "127.0.0.1:80", "127.0.0.1:80", false)
        }),
        Scenario::ours("sockets-tcp-listen-folders", dirs),
        Scenario::ours("sockets-tcp-listen-closed", closed),
        Scenario::ours("sockets-tcp-listen-busy", busy),
        Scenario::ours("sockets-tcp-listen-wrong", wrong),
        Scenario::ours("sockets-tcp-listen-go", |daemon| {
            polls(daemon, "go", r#"(@custom "go:buildid" "7")"#, "8080")
        }),
        Scenario::ours("sockets-tcp-listen-nonblocking", |daemon| {
            polls(daemon, "word", "", "nonblocking, 8080")
        }),
        Scenario::ours("sockets-low-port", low_port),
        Scenario::ours("sockets-owner", owner),
    ]
}

/// Sends `word` to the server there, and returns its answer.
fn ask(room: &Room<'_>, at: &str, word: &str) -> Result<String> {
    let mut stream = room.connect(at)?;
    writeln!(stream, "{word}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}

fn served(daemon: &Containerd, listen: &str, at: &str, by_env: bool) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = room.run("listens");
    let run = match by_env {
        true => run.env(&format!("LIGHTER_TCP_LISTEN={listen}")),
        false => run.annotation(LISTEN, listen),
    };
    let guest = ready(run.args(&[LISTENER]))?;
    for word in ["hello", "quit"] {
        let answer = ask(&room, at, word)?;
        ensure!(answer == "hello from fd 3\n", "it answers {answer:?} to {word}");
    }
    guest.finish(LIMIT)?.exits(7).map(drop)
}

/// With two listeners' descriptors before them the preopened directories are still found, by the guest itself and by
/// its libc.
fn dirs(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "sockets-dirs")?;
    let room = Room::new(daemon)?;
    let run = |path: &str| {
        let run = room.run("lists").annotation(LISTEN, "8080,8081");
        run.bind(&dir, path, true)
    };
    run("/outbox").args(&["/guests/make.wasm"]).finish()?.ok()?;
    ensure!(dir.join("made").exists(), "the guest made no file");
    run("/vol").args(&["/cases/preopens.wasm"]).finish()?.ok()?.prints("preopens: / and /vol")?;
    let mut libc = run("/vol").args(&["/cases/hello-p1.wasm", "0", "/vol"]).start()?;
    libc.says("file: note", LIMIT)?;
    let output = libc.finish(LIMIT)?.ok()?;
    let files: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("file: ")).collect();
    ensure!(files == ["file: made", "file: note"], "it lists {files:?}");
    Ok(())
}

/// After the guest closes a listener, its descriptor is invalid.
fn closed(daemon: &Containerd) -> Result<()> {
    const BADF: i32 = 8;
    let run = daemon.run("closes").annotation(LISTEN, "8080").args(&["/guests/unlisten.wasm"]);
    run.finish()?.exits(BADF).map(drop)
}

/// On a non-blocking listener accept returns EAGAIN.
fn polls(daemon: &Containerd, name: &str, section: &str, listen: &str) -> Result<()> {
    const AGAIN: i32 = 6;
    let dir = shared_dir(daemon, &format!("polls-{name}"))?;
    let text = format!(
        r#"(module {section}
          (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func (export "_start")
            (call $exit (call $accept (i32.const 3) (i32.const 0) (i32.const 0)))))"#
    );
    fs::write(dir.join("module.wat"), text)?;
    let run = Room::new(daemon)?;
    let run = run.run("polls").annotation(LISTEN, listen).bind(&dir, "/own", false);
    run.args(&["/own/module.wat"]).finish()?.exits(AGAIN).map(drop)
}

/// If the port is in use, Start fails and names the address; the port's owner is not affected.
fn busy(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let owner = room.net.listen("127.0.0.1:8080")?;
    let run = room.run("wants").annotation(LISTEN, "127.0.0.1:8080").args(&[LISTENER]);
    let output = run.finish()?;
    ensure!(output.code != 0 && output.stdout.is_empty(), "it ran: {output:?}");
    output.complains("cannot listen on 127.0.0.1:8080: Address already in use")?;
    drop(owner);
    served(daemon, "127.0.0.1:8080", "127.0.0.1:8080", false)
}

fn wrong(daemon: &Containerd) -> Result<()> {
    let output = daemon.run("wants").annotation(LISTEN, "everywhere").args(&[LISTENER]).finish()?;
    ensure!(output.code != 0 && output.stdout.is_empty(), "it ran: {output:?}");
    output.complains(r#"the annotation lighter.wasm/tcp-listen says "everywhere"; it must be"#).map(drop)
}

/// No guest can bind a privileged port by itself, not even as root.
fn low_port(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    for user in [None, Some(USER)] {
        let run = room.run("wants").user(user).args(&["/guests/socket-hello.wasm", "80"]);
        run.finish()?.exits(1)?.complains("PermissionDenied")?;
    }
    Ok(())
}

/// Sockets belong to the guest's user, whether the guest or the shim opened them.
fn owner(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = room.run("owns").user(Some(USER));
    let guest = ready(run.args(&["/guests/socket-hello.wasm", "8080"]))?;
    let owner = socket_owner(daemon.task("owns")?.pid, 8080)?;
    ensure!(owner == USER.uid, "the guest's socket belongs to {owner}");
    room.stop("owns", guest)?;
    let run = room.run("listens").user(Some(USER)).annotation(LISTEN, "8081");
    let guest = ready(run.args(&[LISTENER]))?;
    let owner = socket_owner(daemon.task("listens")?.pid, 8081)?;
    ensure!(owner == USER.uid, "the shim's socket belongs to {owner}");
    room.stop("listens", guest).map(drop)
}

/// The owner of the socket that listens on `port` in the network of process `pid`.
fn socket_owner(pid: i32, port: u16) -> Result<u32> {
    const LISTENS: &str = "0A";
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut rows = rows.filter(|row| row.get(3) == Some(&LISTENS));
    let row = rows.find(|row| row[1].ends_with(&format!(":{port:04X}")));
    let owner =
        row.as_ref().and_then(|row| row.get(7)).with_context(|| format!("no socket listens on {port}"))?;
    Ok(owner.parse()?)
}
