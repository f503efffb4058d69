//! Requests that guests make: to neighbours and others, over connections that are used again, with TLS.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::http::Served;
use e2e::http::certificates::Authority;
use e2e::http::upstream::Upstream;
use e2e::runner::Scenario;

use super::all;
use crate::data::shared_dir;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-get", get),
        Scenario::ours("http-get-neighbour", neighbour),
        Scenario::ours("http-post-both-ways", post),
        Scenario::ours("http-get-connections", connections),
        Scenario::ours("http-get-tls", tls),
        Scenario::ours("http-get-tls-files", tls_files),
        Scenario::ours("http-get-2", two),
        Scenario::ours("http-connect", connect),
    ]
}

/// Fetched, or told why not in the words of `wasi:http`.
fn get(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    fetches(&web, &upstream.url("/path"), "200\nasked for /path")?;
    let gone = upstream.url("/");
    drop(upstream);
    fetches(&web, &gone, "error: ErrorCode::ConnectionRefused")?;
    fetches(&web, "http://127.0.0.1:8080/count", "200\n1")?;
    web.end()
}

/// What `/get` of this URL answers.
pub fn fetches(web: &Served<'_>, url: &str, expected: &str) -> Result<()> {
    web.get(&format!("/get?{url}"))?.is(200, expected).map(drop).with_context(|| url.to_owned())
}

/// Two containers of one network.
fn neighbour(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let other = daemon.run("other").network(&web.net).env("PORT=8081").args(super::HELLO).serve()?;
    fetches(&web, "http://localhost:8081/", "200\nhello")?;
    other.end()?;
    fetches(&web, "http://localhost:8081/", "error: ErrorCode::ConnectionRefused")?;
    web.end()
}

/// A chunk has gone through the guest, to its upstream and back, before the next one is sent.
fn post(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    let mut wire = web.wire()?;
    wire.posts(&format!("/post?{}", upstream.url("/")))?;
    wire.sends_chunk("0")?;
    wire.head()?.status(200)?;
    for round in 0..5 {
        let chunk = wire.chunk()?.context("it ended")?;
        ensure!(chunk == round.to_string().as_bytes(), "{chunk:?} in round {round}");
        wire.sends_chunk(&(round + 1).to_string())?;
    }
    wire.sends_chunk("")?;
    ensure!(wire.chunk()?.as_deref() == Some(b"5"), "the last chunk is lost");
    ensure!(wire.chunk()?.is_none(), "it does not end");
    web.end()
}

/// Copies of the guest share their connections: each answers one request, and few are opened.
fn connections(daemon: &Containerd) -> Result<()> {
    const REQUESTS: usize = 20;
    let web = all(daemon).serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    for _ in 0..REQUESTS {
        fetches(&web, &upstream.url("/"), "200\nasked for /")?;
    }
    let opened = upstream.connections();
    // One may be asked for before the last answer's is back.
    ensure!(opened <= REQUESTS / 5, "{opened} connections for {REQUESTS} requests");
    web.end()
}

/// An authority of the container's own is trusted, and no other.
fn tls(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-get-tls")?;
    let (ours, others) = (Authority::new()?, Authority::new()?);
    fs::write(dir.join("ca.pem"), ours.pem())?;
    let run = all(daemon).env("SSL_CERT_FILE=/tls/ca.pem").bind(&dir, "/tls", false);
    let web = run.serve()?;
    let url = |upstream: &Upstream, host: &str| format!("https://{host}:{}/secret", upstream.port);
    let known = Upstream::serve(&web.net, Some(ours.vouch("localhost")?.server(&[])?))?;
    fetches(&web, &url(&known, "localhost"), "200\nasked for /secret")?;
    // Vouched for under another name.
    fetches(&web, &url(&known, "127.0.0.1"), "error: ErrorCode::TlsCertificateError")?;
    let unknown = Upstream::serve(&web.net, Some(others.vouch("localhost")?.server(&[])?))?;
    fetches(&web, &url(&unknown, "localhost"), "error: ErrorCode::TlsCertificateError")?;
    let plain = Upstream::serve(&web.net, None)?;
    web.get(&format!("/get?{}", url(&plain, "localhost")))?.says("error: ErrorCode::Tls")?;
    web.end()
}

/// An upstream that speaks HTTP/2 and nothing else: requests share one connection, bodies go both ways.
fn two(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-get-2")?;
    let authority = Authority::new()?;
    fs::write(dir.join("ca.pem"), authority.pem())?;
    let run = all(daemon).env("SSL_CERT_FILE=/tls/ca.pem").bind(&dir, "/tls", false);
    let web = run.serve()?;
    let upstream = Upstream::serve(&web.net, Some(authority.vouch("localhost")?.server(&["h2"])?))?;
    let url = format!("https://localhost:{}", upstream.port);
    for path in ["/one", "/two", "/three"] {
        fetches(&web, &format!("{url}{path}"), &format!("200\nasked for {path}"))?;
    }
    web.wire()?.ask(&format!("POST /post?{url}/four"), "there and back")?.is(200, "there and back")?;
    let lines: Vec<String> = upstream.asked().into_iter().map(|asked| asked.line).collect();
    let expected =
        ["GET /one", "GET /two", "GET /three", "POST /four"].map(|line| format!("{line} HTTP/2.0"));
    ensure!(lines == expected, "it was asked {lines:?}");
    ensure!(upstream.connections() == 1, "{} connections", upstream.connections());
    web.end()
}

/// Without a file the web's authorities count; one that is not there is an error that names it.
fn tls_files(daemon: &Containerd) -> Result<()> {
    let server = Authority::new()?.vouch("localhost")?.server(&[])?;
    for (env, words) in [("A=b", "TlsCertificateError"), ("SSL_CERT_FILE=/none.pem", "/none.pem")] {
        let web = all(daemon).env(env).serve()?;
        let upstream = Upstream::serve(&web.net, Some(server.clone()))?;
        let url = format!("/get?https://localhost:{}/", upstream.port);
        web.get(&url)?.status(200)?.says("error: ErrorCode::")?.says(words)?;
        web.end()?;
    }
    Ok(())
}

/// Sockets of the guest's own; the upstream does not know the word and says so in a line.
fn connect(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    web.get(&format!("/connect?127.0.0.1:{}", upstream.port))?.status(200)?.says("HTTP/1.1 400")?;
    let gone = upstream.port;
    drop(upstream);
    web.get(&format!("/connect?127.0.0.1:{gone}"))?.is(200, "error: connection-refused")?;
    web.end()
}
