//! Makes calls of `poll_oneoff` that a well-behaved guest seldom makes, and prints one line per call: its
//! name, the errno, and each event as `PLACE:KIND errno E flags F`, where PLACE is the
//! subscription's index; a read also has its `nbytes`.
//!
//! Times are printed as `at once` (below 50 ms), `soon` (below 1 s) or `late`.

mod wasi;

use std::fmt::Write as _;

use wasi::{Event, Socket, Wait, now, poll};

const KINDS: [&str; 3] = ["clock", "read", "write"];
/// No descriptor has this number: neither standard stream, nor directory, nor socket.
const NO_FD: u32 = 0x7fff_fff0;
const NO_CLOCK: u32 = 99;

fn ask(name: &str, waits: &[Wait]) {
    let before = now();
    let (errno, events) = poll(waits);
    let passed = match (now() - before) / 1_000_000 {
        0..50 => "at once",
        50..1000 => "soon",
        _ => "late",
    };
    println!("{name}: errno {errno}, {passed}{}", text(&events));
}

fn text(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        let Event { userdata, errno, kind, nbytes, flags } = event;
        let kind = *KINDS.get(usize::from(*kind)).unwrap_or(&"?");
        let _ = write!(text, ", {userdata}:{kind} errno {errno} flags {flags}");
        // That of a write is the room in a buffer of the kernel.
        if kind == "read" {
            let _ = write!(text, " nbytes {nbytes}");
        }
    }
    text
}

fn main() {
    clocks();
    sockets();
    descriptors();
    // The last ones, since WasmEdge 0.17.1 returns from neither.
    ask("no such descriptor", &[Wait::Readable(NO_FD)]);
    ask("no such clock", &[Wait::Clock(NO_CLOCK)]);
}

fn clocks() {
    ask("nothing", &[]);
    ask("zero time-out", &[Wait::After(0)]);
    ask("a moment that has passed", &[Wait::Until(1)]);
    ask("a moment to come", &[Wait::Until(now() + 100_000_000)]);
    ask("two clocks", &[Wait::After(10_000), Wait::After(100)]);
    ask("two clocks at once", &[Wait::After(0), Wait::After(0)]);
}

fn sockets() {
    let (listener, port) = Socket::listener();
    let patience = Wait::After(5000);
    ask("listener without a client", &[Wait::Readable(listener.0), Wait::After(100)]);
    let client = Socket::connecting(port);
    ask("listener with a client", &[Wait::Readable(listener.0), patience]);
    ask("connected", &[Wait::Writable(client.0), patience]);
    let server = listener.accept();
    ask("nothing to read", &[Wait::Readable(client.0), Wait::After(100)]);
    ask("read and write", &[Wait::Readable(client.0), Wait::Writable(client.0), patience]);
    server.send(b"hello");
    ask("five bytes to read", &[Wait::Readable(client.0), patience]);
    ask("still five bytes", &[Wait::Readable(client.0), patience]);
    ask("with a zero time-out", &[Wait::Readable(client.0), Wait::After(0)]);
    ask("the same twice", &[Wait::Readable(client.0), Wait::Readable(client.0), patience]);
    server.end();
    ask("the peer has said all", &[Wait::Readable(client.0), patience]);
    server.close();
    client.end();
    ask("hung up", &[Wait::Readable(client.0), patience]);
    client.close();
    ask("closed", &[Wait::Readable(client.0), Wait::After(100)]);
    listener.close();
    let refused = Socket::connecting(port);
    ask("refused", &[Wait::Writable(refused.0), patience]);
    refused.close();
}

fn descriptors() {
    ask("no such descriptor, but a clock", &[Wait::Readable(NO_FD), Wait::After(100)]);
    ask("stdout", &[Wait::Writable(1), Wait::After(5000)]);
}
