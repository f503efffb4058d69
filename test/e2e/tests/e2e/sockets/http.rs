//! HTTP over WasmEdge's sockets: hyper serves, reqwest fetches.

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::upstream::Upstream;
use e2e::http::wire::Wire;
use e2e::runner::Scenario;

use super::Room;

const HYPER: [&str; 2] = ["/guests/socket-hyper.wasm", "8080"];
const CLIENT: &str = "/guests/socket-client.wasm";
const CLIENTS: usize = 20;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("sockets-hello", hello),
        Scenario::ours("sockets-hyper-routes", routes),
        Scenario::ours(format!("sockets-hyper-{CLIENTS}-clients"), many_clients),
        Scenario::ours("sockets-hyper-large-body", large_body),
        Scenario::ours("sockets-hyper-sidecar", sidecar),
        Scenario::ours("sockets-client", client),
        Scenario::ours("sockets-client-refused", client_refused),
        Scenario::ours("sockets-client-unknown", client_unknown),
    ]
}

fn hello(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let server = room.serve("hello", &["/guests/socket-hello.wasm", "8080"])?;
    room.wire("127.0.0.1:8080")?.ask("GET /", "")?.is(200, "hello")?;
    room.stop("hello", server).map(drop)
}

/// All requests over one connection, which stays open.
fn routes(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let server = room.serve("hyper", &HYPER)?;
    let mut client = room.wire("127.0.0.1:8080")?;
    let mut check = |what: &str, body: &str, status: u16, expected: &str| -> Result<()> {
        client.ask(what, body)?.is(status, expected).map(drop).with_context(|| what.to_owned())
    };
    check("GET /", "", 200, "hello")?;
    check("GET /healthz", "", 200, "")?;
    check("POST /echo", "an echo", 200, "an echo")?;
    check("GET /orders", "", 200, "")?;
    check("POST /orders", "one", 200, "{}")?;
    check("POST /orders", "two", 200, "{}")?;
    check("GET /orders", "", 200, "one\ntwo")?;
    check("GET /nothing", "", 404, "no such path")?;
    room.stop("hyper", server).map(drop)
}

/// All connect, then all send their requests, then all are answered, the last one first.
fn many_clients(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let server = room.serve("hyper", &HYPER)?;
    let mut clients: Vec<Wire> = (0..CLIENTS).map(|_| room.wire("127.0.0.1:8080")).collect::<Result<_>>()?;
    for (nth, client) in clients.iter_mut().enumerate() {
        client.sends("POST /echo", &format!("client {nth}"))?;
    }
    for (nth, client) in clients.iter_mut().enumerate().rev() {
        client.answer()?.is(200, &format!("client {nth}"))?;
    }
    room.stop("hyper", server).map(drop)
}

/// More than the kernel's buffers can hold, both ways.
fn large_body(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let server = room.serve("hyper", &HYPER)?;
    let body = "0123456789abcdef".repeat(1 << 16);
    let stream = room.connect("127.0.0.1:8080")?;
    let mut client = Wire::new(stream.try_clone()?);
    let answer = std::thread::scope(|scope| {
        let sends = scope.spawn(|| Wire::new(stream).sends("POST /echo", &body));
        let answer = client.answer();
        sends.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        answer
    })?;
    ensure!(answer.body == body.as_bytes(), "{} bytes came back of {}", answer.body.len(), body.len());
    room.stop("hyper", server).map(drop)
}

/// The guest calls its sidecar at localhost, and passes its answers on.
fn sidecar(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let server = room.serve("hyper", &HYPER)?;
    let mut client = room.wire("127.0.0.1:8080")?;
    client.ask("GET /state/a", "")?.status(502).context("without a sidecar")?.says("error: ")?;
    let script = |line: &str| if line.starts_with("POST") { (204, "") } else { (201, "kept") };
    let dapr = Upstream::at(&room.net, "127.0.0.1:3500", Some(script))?;
    client.ask("POST /state/a", "five")?.is(204, "")?;
    client.ask("GET /state/a", "")?.is(201, "kept")?;
    client.ask("GET /fetch?http://127.0.0.1:3500/any", "")?.is(201, "kept")?;
    let asked = dapr.asked();
    let lines: Vec<&str> = asked.iter().map(|request| request.line.as_str()).collect();
    let expected = [
        "POST /v1.0/state/statestore HTTP/1.1",
        "GET /v1.0/state/statestore/a HTTP/1.1",
        "GET /any HTTP/1.1",
    ];
    ensure!(lines == expected, "the sidecar received {lines:?}");
    ensure!(
        asked[0].body == r#"[{"key":"a","value":"five"}]"#,
        "the sidecar received the body {:?}",
        asked[0].body
    );
    room.stop("hyper", server).map(drop)
}

fn client(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    for host in ["127.0.0.1", "localhost"] {
        let server = Upstream::at(&room.net, "127.0.0.1:8080", Some(|_| (418, "tea\n")))?;
        let url = format!("http://{host}:8080/pot");
        room.run("client").args(&[CLIENT, &url]).finish()?.ok()?.prints("418\ntea")?;
        let asked = server.asked();
        ensure!(asked[0].line == "GET /pot HTTP/1.1", "{host}: the server received {asked:?}");
    }
    Ok(())
}

fn client_refused(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let output = room.run("client").args(&[CLIENT, "http://127.0.0.1:8080/"]).finish()?;
    output.exits(1)?.complains("error sending request").map(drop)
}

/// No name server answers.
fn client_unknown(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let output = room.run("client").args(&[CLIENT, "http://unknown.test/"]).finish()?;
    output.exits(1)?.complains("dns error").map(drop)
}
