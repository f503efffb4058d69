//! Unix sockets in volumes: created by a guest, or by others.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::process::LIMIT;
use e2e::runner::Scenario;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::{PATIENCE, ready};
use crate::data::shared_dir;
use crate::jail::USER;

const GUEST: &str = "/guests/socket-unix.wasm";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("sockets-unix-listen", listen),
        Scenario::ours("sockets-unix-two-containers", two_containers),
        Scenario::ours("sockets-unix-connect", connect),
        Scenario::ours("sockets-unix-nobody", no_listener),
        Scenario::ours("sockets-unix-read-only", read_only),
    ]
}

/// A client on the host connects through the volume; the socket file belongs to the guest's user.
fn listen(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "unix-listen")?;
    let run = daemon.run("listens").user(Some(USER)).bind(&dir, "/outbox", true);
    let mut guest = ready(run.args(&[GUEST, "listen", "/outbox/s"]))?;
    guest.says("ready /outbox/s\n", LIMIT)?;
    let owner = dir.join("s").metadata()?;
    ensure!(
        (owner.uid(), owner.gid()) == (USER.uid, USER.gid),
        "it belongs to {}:{}",
        owner.uid(),
        owner.gid()
    );
    let mut stream = connected(&dir.join("s"))?;
    stream.write_all(b"to the guest")?;
    stream.shutdown(Shutdown::Write)?;
    let mut echo = String::new();
    stream.read_to_string(&mut echo)?;
    ensure!(echo == "to the guest", "the echo is {echo:?}");
    guest.finish(LIMIT)?.ok().map(drop)
}

fn connected(path: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(path).with_context(|| path.display().to_string())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Two containers share only the volume, each at another path.
fn two_containers(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "unix-two")?;
    let server = daemon.run("listens").bind(&dir, "/outbox", true);
    let server = ready(server.args(&[GUEST, "listen", "/outbox/s"]))?;
    let client = daemon.run("connects").bind(&dir, "/inbox", true).args(&[GUEST, "/inbox/s"]);
    client.finish()?.ok()?.prints("ping")?;
    server.finish(LIMIT)?.ok().map(drop)
}

/// The guest as a client: it may connect even through a read-only volume.
fn connect(daemon: &Containerd) -> Result<()> {
    for writable in [true, false] {
        let dir = shared_dir(daemon, &format!("unix-connect-{writable}"))?;
        let listener = UnixListener::bind(dir.join("s"))?;
        setsockopt(&listener, sockopt::ReceiveTimeout, &TimeVal::new(10, 0))?;
        let client = daemon.run("connects").bind(&dir, "/inbox", writable);
        let mut client = client.args(&[GUEST, "/inbox/s"]).start()?;
        client.feed("")?;
        let (stream, _) = listener.accept().context("the guest did not connect")?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        ensure!(line == "ping\n", "the guest sent {line:?}");
        (&stream).write_all(b"pong\n")?;
        client.finish(LIMIT)?.ok()?.prints("pong")?;
    }
    Ok(())
}

/// No file; a file that is no socket; a socket without a listener.
fn no_listener(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "unix-no-listener")?;
    drop(UnixListener::bind(dir.join("left"))?);
    for (name, errno) in [("none", 44), ("note", 14), ("left", 14)] {
        let path = format!("/inbox/{name}");
        let output = daemon.run("connects").bind(&dir, "/inbox", true).args(&[GUEST, &path]).finish()?;
        output.exits(1)?.complains(&format!("connect: errno {errno}\n")).context(path)?;
    }
    Ok(())
}

fn read_only(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "unix-read-only")?;
    let run = daemon.run("listens").bind(&dir, "/inbox", false).args(&[GUEST, "listen", "/inbox/s"]);
    run.finish()?.exits(1)?.complains("bind: errno 69\n")?;
    ensure!(!dir.join("s").exists(), "the file is there");
    Ok(())
}
