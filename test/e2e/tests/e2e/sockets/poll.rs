//! Waiting for several things at once, and being stopped while waiting.

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::process::LIMIT;
use e2e::runner::Scenario;

use super::{Room, ready};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("sockets-poll-torture", torture),
        Scenario::ours("sockets-poll-stdin", stdin),
        Scenario::ours("sockets-stop-accept", |daemon| {
            let run = Room::new(daemon)?.run("waits").annotation("lighter.wasm/tcp-listen", "8080");
            let guest = ready(run.args(&["/guests/listener-std.wasm"]))?;
            Room::new(daemon)?.stop("waits", guest).map(drop)
        }),
        Scenario::ours("sockets-stop-poll", |daemon| {
            let room = Room::new(daemon)?;
            let guest = room.serve("waits", &["/guests/socket-hello.wasm", "8080"])?;
            room.stop("waits", guest).map(drop)
        }),
        Scenario::ours("sockets-stop-receive", |daemon| {
            let room = Room::new(daemon)?;
            let guest = room.serve("waits", &["/guests/socket-udp-echo.wasm", "5300"])?;
            room.stop("waits", guest).map(drop)
        }),
    ]
}

/// What the guest is told, line by line; only times may differ from run to run, and they are rounded.
const TOLD: &str = "TODO";

fn torture(daemon: &Containerd) -> Result<()> {
    let output = Room::new(daemon)?.run("asks").args(&["/guests/poll-torture.wasm"]).finish()?.ok()?;
    for (told, expected) in output.stdout.lines().zip(TOLD.lines()) {
        ensure!(told == expected, "{told:?} instead of {expected:?}; all of it:\n{}", output.stdout);
    }
    ensure!(output.stdout.lines().count() == TOLD.lines().count(), "it said\n{}", output.stdout);
    Ok(())
}

/// Stdin and two listeners in one poll: whichever has something is served, and no other is touched.
fn stdin(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = room.run("watches").annotation("lighter.wasm/tcp-listen", "127.0.0.1:8080,[::1]:8081");
    let mut guest = ready(run.args(&["/guests/watch.wasm"]))?;
    room.connect("127.0.0.1:8080")?;
    guest.says("ready\nclient\n", LIMIT)?;
    guest.types("line\n")?;
    guest.says("client\nstdin\n", LIMIT)?;
    room.connect("[::1]:8081")?;
    guest.says("stdin\nclient\n", LIMIT)?;
    guest.finish(LIMIT)?.ok()?.prints("ready\nclient\nstdin\nclient").map(drop)
}
