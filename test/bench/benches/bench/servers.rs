//! Servers: how fast they answer, what they hold when idle, how soon they start.

use std::net::TcpStream;

use anyhow::Result;
use bench::load::{Load, Server, first_answer};
use bench::memory;
use bench::report::{Line, Table};
use bench::subject::Subject;

use crate::Bench;

/// The port of all of them.
const PORT: u16 = 8080;
/// The address, in the form of each server.
const ADDRESS: &str = "0.0.0.0:8080";
const HTTP: &[&str] = &["/http-hello.wasm"];
/// A policy, and a query for it.
const POLICY: &[&str] = &["/cases/opa-once.wasm"];
const QUESTION: &str = "/v1/data/example/admin?input=%7B%22user%22%3A%22root%22%7D";
const SOCKETS: &[&str] = &["/socket-hello.wasm", "8080"];

fn native(name: &str, args: &'static [&'static str]) -> Subject {
    Subject { name: name.into(), args, ..Subject::runc() }
}

fn wasm(name: &str, args: &'static [&'static str]) -> Subject {
    Subject { name: name.into(), args, ..Subject::lighter() }
}

fn peer() -> Subject {
    let flags = ["--env", "WASMTIME_HTTP_PROXY_SOCKET_ADDR=0.0.0.0:8080"];
    Subject { name: "peer, wasi:http".into(), args: HTTP, ..Subject::peer() }.with(&flags)
}

fn components(bench: &Bench) -> Vec<Subject> {
    let reused = wasm("lighter, wasi:http, reused", HTTP).with(&["--env", "LIGHTER_HTTP_REUSE=1000000"]);
    let mut all =
        vec![native("hyper, native", &["/hyper", ADDRESS]), wasm("lighter, wasi:http", HTTP), reused];
    all.extend(bench.peer.iter().map(|_| peer()));
    all
}

/// Answers of `hello` over 50 connections.
pub fn http(bench: &Bench) -> Result<Vec<Table>> {
    rates(bench, "http", "hello over HTTP, 50 connections", components(bench), "/")
}

/// The same for servers with a hyper of their own, on one thread.
pub fn sockets(bench: &Bench) -> Result<Vec<Table>> {
    let one = native("hyper, native, 1 thread", &["/hyper", ADDRESS, "1"]);
    let all = vec![one, wasm("lighter, WasmEdge's sockets", SOCKETS)];
    rates(bench, "socket-server", "hello of a server on sockets, 50 connections", all, "/")
}

/// Decisions of a policy: by instances whose heap is emptied, and by a new one for each.
pub fn opa(bench: &Bench) -> Result<Vec<Table>> {
    const ONE_PORT: [&str; 2] = ["--env", "LIGHTER_HTTP_ADDRESS=0.0.0.0:8080"];
    const ANEW: [&str; 4] = [ONE_PORT[0], ONE_PORT[1], "--env", "LIGHTER_HTTP_REUSE=1"];
    let all = vec![
        native("hyper, native", &["/hyper", ADDRESS]),
        wasm("lighter, OPA", POLICY).with(&ONE_PORT),
        wasm("lighter, OPA, a new instance each", POLICY).with(&ANEW),
    ];
    rates(bench, "opa", "decisions of a policy over HTTP, 50 connections", all, QUESTION)
}

fn rates(bench: &Bench, key: &str, title: &str, all: Vec<Subject>, path: &str) -> Result<Vec<Table>> {
    let daemon = bench.containerd()?;
    let line = |subject: &Subject| (Line::new(&subject.name), Line::new(&subject.name));
    let mut lines: Vec<_> = all.iter().map(line).collect();
    for round in 0..bench.runs.div_ceil(4) {
        for (index, (subject, (rate, p99))) in all.iter().zip(&mut lines).enumerate() {
            if rate.failure.is_some() {
                continue;
            }
            let server = Server::start(&daemon, subject, &format!("{key}-{index}-{round}"), PORT)?;
            match server.load(path) {
                Ok(Load { rate: answers, p99: slow }) => {
                    rate.note(Ok(answers));
                    p99.note(Ok(slow));
                }
                Err(error) => rate.note(Err(error)),
            }
            server.stop()?;
        }
    }
    let (rate, p99) = lines.into_iter().unzip();
    Ok(vec![
        Table { key: key.into(), title: title.into(), unit: "answers/s", lines: rate },
        Table { key: format!("{key}-p99"), title: format!("{title}, 99 %"), unit: "ms", lines: p99 },
    ])
}

/// The memory of one more server without requests, and with many idle connections.
pub fn idle(bench: &Bench) -> Result<Vec<Table>> {
    const CONNECTIONS: usize = 1000;
    let mut lines = Vec::new();
    let mut all = components(bench);
    all.push(wasm("lighter, WasmEdge's sockets", SOCKETS));
    for subject in &all {
        let daemon = bench.containerd()?;
        let server = Server::start(&daemon, subject, "idle", PORT)?;
        let mut note = |what: &str, held: memory::Held| {
            let mut line = Line::new(format!("{}, {what}", subject.name));
            line.note(Ok(held.private as f64));
            lines.push(line);
        };
        note("private", memory::held(&daemon)?);
        let many = (0..CONNECTIONS).map(|_| asked(&server)).collect::<Result<Vec<_>>>()?;
        note("with 1,000 connections", memory::held(&daemon)?);
        drop(many);
        server.stop()?;
    }
    Ok(vec![Table { key: "idle".into(), title: "memory of an idle server's pod".into(), unit: "KiB", lines }])
}

/// A connection that stays open after one request was answered.
fn asked(server: &Server<'_>) -> Result<TcpStream> {
    use std::io::{Read, Write};
    let mut stream = server.connect()?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n")?;
    let mut answer = [0; 512];
    anyhow::ensure!(stream.read(&mut answer)? > 0, "the server closed the connection");
    Ok(stream)
}

/// The same for the output of a JavaScript toolchain: an interpreter of 13 MB.
pub fn javascript(bench: &Bench) -> Result<Vec<Table>> {
    let daemon = bench.containerd_with("javascript")?;
    let subjects = [("lighter, first", true), ("lighter, second", false)];
    let subjects = subjects.map(|(name, first)| (name.to_owned(), (wasm(name, &["/app.wasm"]), first)));
    let lines = super::measurements::in_turns(subjects, bench.runs.div_ceil(4), 0, |(subject, first), id| {
        if *first {
            super::measurements::forget_code(&daemon)?;
        }
        Ok(first_answer(&daemon, subject, id, PORT)?.as_secs_f64() * 1000.0)
    });
    let title = "from ctr run to the first answer of a JavaScript server of 13 MB".into();
    Ok(vec![Table { key: "javascript".into(), title, unit: "ms", lines }])
}

/// From `ctr run` to the first answer.
pub fn cold(bench: &Bench) -> Result<Vec<Table>> {
    let daemon = bench.containerd()?;
    let mut all = components(bench);
    all.push(wasm("lighter, WasmEdge's sockets", SOCKETS));
    let subjects = all.into_iter().map(|subject| (subject.name.clone(), subject));
    let lines = super::measurements::in_turns(subjects, bench.runs.div_ceil(2), 1, |subject, id| {
        Ok(first_answer(&daemon, subject, id, PORT)?.as_secs_f64() * 1000.0)
    });
    Ok(vec![Table {
        key: "cold".into(),
        title: "from ctr run to a server's first answer".into(),
        unit: "ms",
        lines,
    }])
}
