//! Pod networks: an address on the bridge, one localhost for all containers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cri::{self, Cri};
use e2e::guests::Guest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;

/// Echoes, one client after the other.
const ECHO: &str = "echo ready; while :; do nc -l -p 8080 -e cat; done";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        cri::any("cri-native-pod-address", pod_address),
        cri::any("cri-native-port-forward", |cri| forwarded(cri, Guest::Native)),
        cri::ours("cri-wasm-port-forward", |cri| forwarded(cri, Guest::Wasm)),
        cri::ours("cri-wasm-localhost", localhost),
        cri::any("cri-native-names", |cri| names(cri, Guest::Native)),
        cri::ours("cri-wasm-names", |cri| names(cri, Guest::Wasm)),
    ]
}

/// A server in a pod answers clients on the node and in another pod.
fn pod_address(cri: &Cri<'_>) -> Result<()> {
    let server = cri.pod("server").run()?;
    let echo = server.container("echo").script(ECHO).start()?;
    echo.says("ready")?;
    let address = server.address()?;
    let answer = poll("an answer", LIMIT, || Ok(ask(cri, address, "from the node").ok()))?;
    ensure!(answer == "from the node", "it answered {answer:?}");
    let client = cri.pod("client").run()?;
    ensure!(client.address()? != address, "two pods have the address {address}");
    let script = format!("until echo from a pod | nc {address} 8080 | busybox grep pod; do sleep 0.1; done");
    client.container("asks").script(&script).finish()?.ok()?.prints("from a pod")?;
    // The pod's name is the container's hostname.
    let name = client.container("name").args(&["/bin/busybox", "hostname"]).finish()?;
    name.ok()?.prints("client").map(drop)
}

/// The pod's DNS configuration and its name are in the container's resolv.conf and hostname files.
fn names(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("names").dns("10.88.0.53", "e2e.svc.cluster.local").run()?;
    let container = pod.container("one").ready(guest)?;
    let etc = format!("/proc/{}/root/etc", container.pid()?);
    let resolv = fs::read_to_string(format!("{etc}/resolv.conf"))?;
    for line in ["nameserver 10.88.0.53", "search e2e.svc.cluster.local", "options ndots:5"] {
        ensure!(resolv.lines().any(|other| other == line), "resolv.conf says {resolv:?}, not {line:?}");
    }
    let name = fs::read_to_string(format!("{etc}/hostname"))?;
    ensure!(name.trim() == "names", "the name is {name:?}");
    container.stop(5)
}

/// Sends `word` to port 8080 of the pod, from containerd's network; returns the answer.
fn ask(cri: &Cri<'_>, address: Ipv4Addr, word: &str) -> Result<String> {
    let net = cri.daemon.net.as_ref().context("a containerd without a network of its own")?;
    let mut socket = net.inside(|| Ok(TcpStream::connect((address, 8080))?))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.write_all(word.as_bytes())?;
    let mut answer = vec![0; word.len()];
    socket.read_exact(&mut answer)?;
    Ok(String::from_utf8(answer)?)
}

/// Port forwarding to the pod's localhost, through the streaming server.
fn forwarded(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("port").run()?;
    let server = pod.container("server");
    let server = match guest {
        Guest::Wasm => server.args(&["/guests/tcp-echo-p2.wasm", "8080"]),
        Guest::Native => server.script(ECHO),
    };
    server.start()?.says("ready")?;
    poll("the server to listen", LIMIT, || Ok(pod.listens(8080)?.then_some(())))?;
    let mut port = pod.forward(8080)?;
    port.feed("ping\n")?;
    port.answers("ping\n")
}

/// Wasm and native containers of one pod reach each other at 127.0.0.1.
fn localhost(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("local").run()?;
    let server = pod.container("server").args(&["/guests/tcp-echo-p2.wasm", "8080"]).start()?;
    let asks = pod.container("asks").args(&["/guests/tcp-client-p2.wasm", "8080", "from", "wasm"]);
    asks.finish()?.ok()?.prints("answer: from wasm")?;
    let native = pod.container("native").script("echo quit | nc 127.0.0.1 8080");
    native.finish()?.ok()?;
    server.finish()?.exits(7)?;
    let native = pod.container("native-server").script(ECHO).start()?;
    native.says("ready")?;
    let asks = pod.container("asks-native").args(&["/guests/tcp-client-p2.wasm", "8080", "from", "wasm"]);
    asks.finish()?.ok()?.prints("answer: from wasm").map(drop)
}
