//! A TCP proxy: both directions at once, each with its own EOF.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::containerd::Containerd;
use e2e::process::{LIMIT, Running};
use e2e::runner::Scenario;

use super::{PATIENCE, Room};

const TARGET: &str = "127.0.0.1:9000";
const PROXY: [&str; 3] = ["/guests/socket-tcp-proxy.wasm", "8080", TARGET];
/// 5 MiB.
const MUCH: usize = 5 << 20;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("sockets-proxy-half-close", |daemon| with(daemon, half_close)),
        Scenario::ours("sockets-proxy-much", |daemon| with(daemon, much)),
        Scenario::ours("sockets-proxy-interactive", |daemon| with(daemon, interactive)),
        Scenario::ours("sockets-proxy-unreachable", unreachable),
    ]
}

/// A client, and the server's end of the connection that the proxy opened for it.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

fn with(daemon: &Containerd, check: fn(Pair, &mut Running) -> Result<()>) -> Result<()> {
    let room = Room::new(daemon)?;
    let listener = room.net.listen(TARGET)?;
    let mut proxy = room.serve("proxy", &PROXY)?;
    check(pair(&room, &listener)?, &mut proxy)?;
    room.stop("proxy", proxy).map(drop)
}

fn pair(room: &Room<'_>, listener: &TcpListener) -> Result<Pair> {
    let client = room.connect("127.0.0.1:8080")?;
    let (server, _) = listener.accept().context("the proxy did not connect")?;
    server.set_read_timeout(Some(PATIENCE))?;
    Ok(Pair { client, server })
}

/// A client that has shut down writing can still read.
fn half_close(pair: Pair, proxy: &mut Running) -> Result<()> {
    let Pair { mut client, mut server } = pair;
    client.write_all(b"question")?;
    client.shutdown(Shutdown::Write)?;
    ensure!(all(&mut server)? == b"question", "the question did not arrive");
    server.write_all(b"an answer")?;
    drop(server);
    ensure!(all(&mut client)? == b"an answer", "the answer did not arrive");
    proxy.says("8 bytes up, 9 bytes down\n", LIMIT)
}

fn much(pair: Pair, proxy: &mut Running) -> Result<()> {
    let Pair { client, server } = pair;
    let (up, down) = (pattern(3), pattern(7));
    thread::scope(|scope| -> Result<()> {
        let sends = [(&client, &up), (&server, &down)].map(|(mut stream, bytes)| {
            scope.spawn(move || stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write)))
        });
        let reads = [(&server, &up), (&client, &down)].map(|(mut stream, bytes)| {
            scope.spawn(move || all(&mut stream).map(|read| (read.len(), read == *bytes)))
        });
        for reader in reads {
            let (length, same) = reader.join().map_err(|_| anyhow!("a reader panicked"))??;
            ensure!(same, "{length} of {MUCH} bytes arrived, or they differ");
        }
        sends
            .into_iter()
            .try_for_each(|sender| Ok(sender.join().map_err(|_| anyhow!("a sender panicked"))??))
    })?;
    proxy.says(&format!("{MUCH} bytes up, {MUCH} bytes down\n"), LIMIT)
}

/// One byte at a time, back and forth.
fn interactive(pair: Pair, proxy: &mut Running) -> Result<()> {
    let Pair { mut client, mut server } = pair;
    for letter in b'a'..=b'z' {
        let mut read = [0];
        client.write_all(&[letter])?;
        server.read_exact(&mut read)?;
        server.write_all(&[read[0].to_ascii_uppercase()])?;
        client.read_exact(&mut read)?;
        ensure!(read[0] == letter.to_ascii_uppercase(), "{} came back", read[0]);
    }
    drop((client, server));
    proxy.says("26 bytes up, 26 bytes down\n", LIMIT)
}

/// The client's connection is closed, and the next client is served all the same.
fn unreachable(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let proxy = room.serve("proxy", &PROXY)?;
    ensure!(all(&mut room.connect("127.0.0.1:8080")?)? == b"", "the client got an answer");
    let listener = room.net.listen(TARGET)?;
    let Pair { mut client, server } = pair(&room, &listener)?;
    (&server).write_all(b"here")?;
    drop(server);
    ensure!(all(&mut client)? == b"here", "no answer");
    room.stop("proxy", proxy)?.complains("127.0.0.1:9000: Connection refused").map(drop)
}

fn all(stream: &mut (impl std::io::Read + ?Sized)) -> Result<Vec<u8>> {
    let mut read = Vec::new();
    stream.read_to_end(&mut read)?;
    Ok(read)
}

/// Bytes that show whether any were lost or duplicated.
fn pattern(step: usize) -> Vec<u8> {
    (0..MUCH).map(|at| (at / 251 * step + at) as u8).collect()
}
