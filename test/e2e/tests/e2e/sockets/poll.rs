//! poll_oneoff on several subscriptions, and stopping a guest that is blocked.

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
            let room = Room::new(daemon)?;
            let run = room.run("waits").annotation("lighter.wasm/tcp-listen", "8080");
            let guest = ready(run.args(&["/guests/listener-std.wasm"]))?;
            room.stop("waits", guest).map(drop)
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

/// The guest's output, one line per call; times differ from run to run and are therefore rounded.
const EXPECTED: &str = "\
nothing: errno 28, at once
zero time-out: errno 0, at once, 0:clock errno 0 flags 0
a moment that has passed: errno 0, at once, 0:clock errno 0 flags 0
a moment to come: errno 0, soon, 0:clock errno 0 flags 0
two clocks: errno 0, soon, 1:clock errno 0 flags 0
two clocks at once: errno 0, at once, 0:clock errno 0 flags 0, 1:clock errno 0 flags 0
listener without a client: errno 0, soon, 1:clock errno 0 flags 0
listener with a client: errno 0, at once, 0:read errno 0 flags 0 nbytes 1
connected: errno 0, at once, 0:write errno 0 flags 0
nothing to read: errno 0, soon, 1:clock errno 0 flags 0
read and write: errno 0, at once, 1:write errno 0 flags 0
five bytes to read: errno 0, at once, 0:read errno 0 flags 0 nbytes 5
still five bytes: errno 0, at once, 0:read errno 0 flags 0 nbytes 5
with a zero time-out: errno 0, at once, 0:read errno 0 flags 0 nbytes 5, 1:clock errno 0 flags 0
the same twice: errno 0, at once, 0:read errno 0 flags 0 nbytes 5, 1:read errno 20 flags 0 nbytes 0
the peer has said all: errno 0, at once, 0:read errno 0 flags 0 nbytes 5
hung up: errno 0, at once, 0:read errno 0 flags 1 nbytes 5
closed: errno 0, at once, 0:read errno 8 flags 0 nbytes 0
refused: errno 0, at once, 0:write errno 0 flags 1
no such descriptor, but a clock: errno 0, at once, 0:read errno 8 flags 0 nbytes 0
stdout: errno 0, at once, 0:write errno 0 flags 0
no such descriptor: errno 0, at once, 0:read errno 8 flags 0 nbytes 0
no such clock: errno 0, at once, 0:clock errno 28 flags 0";

fn torture(daemon: &Containerd) -> Result<()> {
    let output = Room::new(daemon)?.run("asks").args(&["/guests/poll-torture.wasm"]).finish()?.ok()?;
    for (line, expected) in output.stdout.lines().zip(EXPECTED.lines()) {
        ensure!(line == expected, "{line:?} instead of {expected:?}; all of it:\n{}", output.stdout);
    }
    ensure!(output.stdout.lines().count() == EXPECTED.lines().count(), "it printed\n{}", output.stdout);
    Ok(())
}

/// Stdin and two listeners in one poll: only the ready one is served.
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
