//! A guest may reach only what its container names: anything else is refused, and logged once.

use std::io::{Read as _, Write as _};
use std::{fs, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::http::upstream::Upstream;
use e2e::http::wire::Wire;
use e2e::output::Output;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;

use super::{PROMPT, Room, ready};
use crate::data::shared_dir;

const OUTBOUND: &str = "lighter.wasm/allowed-outbound";
const LOOKUP: &str = "lighter.wasm/allowed-lookup";
const CLIENT: &str = "/guests/socket-client.wasm";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("sockets-egress-connect", connect),
        Scenario::ours("sockets-egress-once", once),
        Scenario::ours("sockets-egress-env", environment),
        Scenario::ours("sockets-egress-name", by_name),
        Scenario::ours("sockets-egress-files", files),
        Scenario::ours("sockets-egress-datagrams", datagrams),
        Scenario::ours("sockets-egress-datagrams-p2", datagrams_p2),
        Scenario::ours("sockets-egress-lookup-p2", lookup_p2),
        Scenario::ours("sockets-egress-tcp-p2", tcp_p2),
        Scenario::ours("sockets-egress-serve", |daemon| serve(daemon, "/guests/socket-tcp-proxy.wasm")),
        Scenario::ours("sockets-egress-serve-p2", |daemon| serve(daemon, "/guests/tcp-echo-p2.wasm")),
        Scenario::ours("sockets-egress-wrong", wrong),
    ]
}

/// Checks that each of these refusals was logged once, and nothing else.
fn logged(output: Output, expected: &[&str]) -> Result<Output> {
    let mut logged: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("lighter: ")).collect();
    let mut expected: Vec<String> =
        expected.iter().map(|what| format!("lighter: the guest may not {what}")).collect();
    logged.sort_unstable();
    expected.sort_unstable();
    ensure!(logged == expected, "the log has {logged:?} instead of {expected:?}");
    Ok(output)
}

/// The line about a refused connection.
fn to(address: &str) -> String {
    format!("connect to {address}: {OUTBOUND} does not name it")
}

fn connect(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = |url: &str| room.run("fetches").annotation(OUTBOUND, "127.0.0.1:8080").args(&[CLIENT, url]);
    let server = Upstream::at(&room.net, "127.0.0.1:8080", None)?;
    logged(run("http://127.0.0.1:8080/").finish()?.ok()?.prints("200\nasked for /")?, &[])?;
    drop(server);
    for address in ["127.0.0.1:8081", "127.0.0.2:8080"] {
        let output = run(&format!("http://{address}/")).finish()?.exits(1)?;
        logged(output.complains("error sending request")?, &[&to(address)])?;
    }
    let output = run("http://other.test:8080/").finish()?.exits(1)?;
    logged(output, &[&format!("look up other.test: {OUTBOUND} does not name it")]).map(drop)
}

/// Repeated attempts are logged once, and the guest's own server runs on.
fn once(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = room.run("hyper").annotation(OUTBOUND, "");
    let hyper = ready(run.args(&["/guests/socket-hyper.wasm", "8080"]))?;
    let mut client = room.wire("127.0.0.1:8080")?;
    for _ in 0..3 {
        for host in ["127.0.0.1:1", "127.0.0.1:2", "a.test", "localhost"] {
            client.ask(&format!("GET /fetch?http://{host}/"), "")?.status(502).context(host)?;
        }
    }
    client.ask("GET /", "")?.status(200)?;
    let look_up = format!("look up a.test: {OUTBOUND} does not name it");
    let expected = [to("127.0.0.1:1"), to("127.0.0.1:2"), look_up, to("127.0.0.1:80")];
    logged(room.stop("hyper", hyper)?, &expected.each_ref().map(String::as_str)).map(drop)
}

/// The same with environment variables, for users who cannot set annotations.
fn environment(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let run =
        room.run("fetches").env("LIGHTER_ALLOWED_OUTBOUND=10.0.0.0/8").args(&[CLIENT, "http://127.0.0.1/"]);
    logged(run.finish()?.exits(1)?, &[&to("127.0.0.1:80")])?;
    let run =
        room.run("asks").env("LIGHTER_ALLOWED_LOOKUP=*.test").args(&["/guests/lookup-p2.wasm", "a.example"]);
    logged(run.finish()?, &[&format!("look up a.example: {LOOKUP} does not name it")]).map(drop)
}

/// A name's addresses may be reached after the name was looked up, at the name's ports.
fn by_name(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    room.net.add("10.0.0.9/32")?;
    let hosts = room.file("hosts-egress", "10.0.0.9 db.test\n127.0.0.9 here.test\n")?;
    let run = room.run("hyper").annotation(OUTBOUND, "*.test:9000").bind(&hosts, "/etc/hosts", true);
    let hyper = ready(run.args(&["/guests/socket-hyper.wasm", "8080"]))?;
    let mut client = room.wire("127.0.0.1:8080")?;
    let mut fetch = |host: &str| Ok(client.ask(&format!("GET /fetch?http://{host}/"), "")?.status);
    let server = Upstream::at(&room.net, "10.0.0.9:9000", None)?;
    let _here = Upstream::at(&room.net, "127.0.0.9:9000", None)?;
    let statuses: Result<Vec<u16>> =
        ["10.0.0.9:9000", "db.test:9000", "10.0.0.9:9000", "db.test:9001", "here.test:9000"]
            .map(&mut fetch)
            .into_iter()
            .collect();
    ensure!(statuses.as_ref().is_ok_and(|all| *all == [502, 200, 200, 502, 502]), "{statuses:?}");
    ensure!(server.asked().len() == 2, "the server received {:?}", server.asked());
    let output = room.stop("hyper", hyper)?;
    let here = "reach 127.0.0.9 by the name here.test: it is loopback, and lighter.wasm/allowed-outbound does not name \
                that address";
    logged(output, &[&to("10.0.0.9:9000"), &to("10.0.0.9:9001"), here, &to("127.0.0.9:9000")]).map(drop)
}

/// With rules the container cannot change what a name resolves to: its hosts file is read-only, even if the spec
/// mounts it writable, and a hosts file that is not a mount of its own is not read.
fn files(daemon: &Containerd) -> Result<()> {
    const HOSTS: &str = "10.0.0.9 db.test\n";
    let room = Room::new(daemon)?;
    let hosts = room.file("hosts-kept", HOSTS)?;
    let run = room.run("writes").annotation(OUTBOUND, "db.test").bind(&hosts, "/etc/hosts", true);
    let output = run.args(&["/guests/hosts.wasm"]).finish()?.prints(HOSTS.trim())?;
    ensure!(output.code != 0 && fs::read_to_string(&hosts)? == HOSTS, "it wrote: {output:?}");

    room.net.add("10.0.0.9/32")?;
    let server = Upstream::at(&room.net, "10.0.0.9:9000", None)?;
    let etc = shared_dir(daemon, "etc-of-a-guest")?;
    fs::write(etc.join("hosts"), HOSTS)?;
    let run = || room.run("reads").bind(&etc, "/etc", true).args(&[CLIENT, "http://db.test:9000/"]);
    run().finish()?.ok()?.prints("200\nasked for /")?;
    logged(run().annotation(OUTBOUND, "db.test").finish()?.exits(1)?, &[])?;
    ensure!(server.asked().len() == 1, "the server received {:?}", server.asked());
    Ok(())
}

/// Datagrams are received from any sender; answers to addresses that are not allowed are refused.
fn datagrams(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = room.run("echoes").annotation(OUTBOUND, "127.0.0.1:5001");
    let mut guest = ready(run.args(&["/guests/socket-udp-echo.wasm", "5300"]))?;
    let [allowed, other] = [5001, 5002].map(|port| room.datagrams(&format!("127.0.0.1:{port}")));
    let (allowed, other) = (allowed?, other?);
    for word in ["one", "two"] {
        other.send_to(word.as_bytes(), "127.0.0.1:5300")?;
    }
    guest.says("3 bytes from 127.0.0.1:5002\n3 bytes from 127.0.0.1:5002\n", LIMIT)?;
    allowed.send_to(b"hello", "127.0.0.1:5300")?;
    let mut echo = [0; 8];
    ensure!(allowed.recv_from(&mut echo).context("no echo")?.0 == 5, "the echo differs");
    other.set_nonblocking(true)?;
    ensure!(other.recv_from(&mut echo).is_err(), "it was answered");
    other.send_to(b"quit", "127.0.0.1:5300")?;
    let output = guest.finish(LIMIT)?.exits(7)?;
    logged(output.complains("127.0.0.1:5002: Permission denied (os error 2)")?, &[&to("127.0.0.1:5002")])
        .map(drop)
}

fn datagrams_p2(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = room.run("echoes").annotation(OUTBOUND, "127.0.0.1:5001");
    let guest = ready(run.args(&["/guests/udp-echo-p2.wasm", "5300"]))?;
    let [allowed, other] = [5001, 5002].map(|port| room.datagrams(&format!("127.0.0.1:{port}")));
    let (allowed, other) = (allowed?, other?);
    allowed.send_to(b"hello", "127.0.0.1:5300")?;
    ensure!(allowed.recv_from(&mut [0; 8]).context("no echo")?.0 == 5, "the echo differs");
    other.send_to(b"hello", "127.0.0.1:5300")?;
    let output = guest.finish(PROMPT)?.exits(1)?;
    logged(output.complains("Permission denied")?, &[&to("127.0.0.1:5002")]).map(drop)
}

fn lookup_p2(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let hosts = room.file("hosts-lookup", "127.0.0.9 db.test other.test\n")?;
    let run = room.run("asks").annotation(LOOKUP, "db.test").bind(&hosts, "/etc/hosts", false);
    let run = run.args(&["/guests/lookup-p2.wasm", "db.test", "other.test", "other.test", "127.0.0.1"]);
    let output = logged(run.finish()?.ok()?, &[&format!("look up other.test: {LOOKUP} does not name it")])?;
    let lines: Vec<&str> = output.stdout.lines().collect();
    let refused = lines.iter().filter(|line| line.starts_with("other.test: error")).count();
    ensure!(
        lines[0] == "db.test: 127.0.0.9" && refused == 2 && lines[3] == "127.0.0.1: 127.0.0.1",
        "{lines:?}"
    );
    Ok(())
}

/// wasi:sockets of a guest that answers HTTP requests: IPv4 and IPv6, allowed and not.
fn tcp_p2(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = room.run("asks").annotation(OUTBOUND, "127.0.0.1:9000, [::1]:9000");
    let mut guest = run.env("LIGHTER_HTTP_ADDRESS=8080").args(&["/guests/http-all.wasm"]).start()?;
    let client = poll("the guest to serve", LIMIT, || {
        ensure!(!guest.ended()?, "it ended");
        Ok(room.connect("127.0.0.1:8080").ok())
    })?;
    let mut client = Wire::new(client);
    // The guest takes the text before the last colon as the address: without brackets.
    let mut ask = |target: &str| {
        let target = target.replace(['[', ']'], "");
        client.ask(&format!("GET /connect?{target}"), "").map(|answer| answer.text())
    };
    for address in ["127.0.0.1:9000", "[::1]:9000"] {
        let refused = ask(address)?;
        ensure!(refused.trim() == "error: connection-refused", "{address}, without a listener: {refused:?}");
        let listener = room.net.listen(address)?;
        let answer = thread::scope(|scope| {
            let server = scope.spawn(|| -> Result<()> { Ok((&listener.accept()?.0).write_all(b"pong\n")?) });
            let answer = ask(address);
            server.join().map_err(|_| anyhow!("the server panicked"))??;
            answer
        })?;
        ensure!(answer.trim() == "pong", "{address}: {answer:?}");
    }
    for address in ["127.0.0.1:9001", "[::1]:9001", "127.0.0.1:9001"] {
        let refused = ask(address)?;
        ensure!(refused.trim() == "error: access-denied", "{address}: {refused:?}");
    }
    daemon.kill("asks", "SIGKILL", false)?;
    logged(guest.finish(LIMIT)?, &[&to("127.0.0.1:9001"), &to("[::1]:9001")]).map(drop)
}

/// The rules do not restrict a guest's clients.
fn serve(daemon: &Containerd, guest: &str) -> Result<()> {
    let room = Room::new(daemon)?;
    let run = room.run("serves").annotation(OUTBOUND, "127.0.0.1:9000");
    let running = ready(run.args(&[guest, "8080", "127.0.0.1:9000"]))?;
    let target = room.net.listen("127.0.0.1:9000")?;
    let mut client = room.connect("127.0.0.1:8080")?;
    match guest.ends_with("p2.wasm") {
        true => client.write_all(b"hello\n")?,
        false => (&target.accept()?.0).write_all(b"hello\n")?,
    }
    let mut answer = [0; 6];
    client.read_exact(&mut answer)?;
    ensure!(&answer == b"hello\n", "it answers {answer:?}");
    logged(room.stop("serves", running)?, &[]).map(drop)
}

fn wrong(daemon: &Containerd) -> Result<()> {
    let refused = |run: Run<'_>| -> Result<()> {
        let output = run.args(&[CLIENT, "http://127.0.0.1/"]).finish()?;
        ensure!(output.code != 0 && output.stdout.is_empty(), "it ran: {output:?}");
        output.complains("the annotation lighter.wasm/allowed-").map(drop)
    };
    refused(daemon.run("fetches").annotation(OUTBOUND, "http://a.test/"))?;
    refused(daemon.run("fetches").annotation(LOOKUP, "a.test:80"))
}
