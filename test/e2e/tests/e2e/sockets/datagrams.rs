//! UDP datagrams, echoed to their senders.

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::process::LIMIT;
use e2e::runner::Scenario;

use super::Room;

/// Each is the other byte-swapped: only a host with the correct byte order lets both clients receive their own
/// echo.
const PORTS: [u16; 2] = [0x1234, 0x3412];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("sockets-udp-echo", |daemon| echo(daemon, "socket-udp-echo", "127.0.0.1")),
        Scenario::ours("sockets-udp-echo-elsewhere", |daemon| echo(daemon, "socket-udp-echo", "127.0.0.7")),
        Scenario::ours("sockets-udp-echo-p2", |daemon| echo(daemon, "udp-echo-p2", "127.0.0.1")),
    ]
}

fn echo(daemon: &Containerd, guest: &str, host: &str) -> Result<()> {
    let room = Room::new(daemon)?;
    let mut server = room.serve("echo", &[&format!("/guests/{guest}.wasm"), "5300"])?;
    let clients = PORTS.map(|port| room.datagrams(&format!("127.0.0.1:{port}")));
    let server_at = format!("{host}:5300");
    for (client, port) in clients.iter().zip(PORTS) {
        let client = client.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        for word in [&b"hello"[..], b"", &[7; 1400]] {
            client.send_to(word, &server_at)?;
            let mut echo = [0; 2048];
            let (length, from) = client.recv_from(&mut echo).with_context(|| format!("port {port}"))?;
            ensure!(&echo[..length] == word, "the echo has {length} bytes, not {}", word.len());
            ensure!(from.port() == 5300, "it comes from {from}");
        }
        if guest.starts_with("socket") {
            server.says(&format!("5 bytes from 127.0.0.1:{port}\n"), LIMIT)?;
        }
    }
    let client = room.datagrams("127.0.0.1:0")?;
    client.send_to(b"quit", &server_at)?;
    server.finish(LIMIT)?.exits(7).map(drop)
}
