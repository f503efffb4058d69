//! Requests of guests: to other containers and servers, over pooled connections, with TLS.

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

/// An answer, or an error code of `wasi:http`.
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

/// Checks the guest's answer to `/get` of this URL.
pub fn fetches(web: &Served<'_>, url: &str, expected: &str) -> Result<()> {
    web.get(&format!("/get?{url}"))?.is(200, expected).map(drop).with_context(|| url.to_owned())
}

/// Two containers in one network.
fn neighbour(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let other = daemon.run("other").network(&web.net).env("PORT=8081").args(super::HELLO).serve()?;
    fetches(&web, "http://localhost:8081/", "200\nhello")?;
    other.end()?;
    fetches(&web, "http://localhost:8081/", "error: ErrorCode::ConnectionRefused")?;
    web.end()
}

/// Each chunk goes through the guest to the upstream and back before the next one is sent.
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

/// Instances of the guest share a pool of connections: each instance answers one request, and few connections are
/// opened.
fn connections(daemon: &Containerd) -> Result<()> {
    const REQUESTS: usize = 20;
    let web = all(daemon).serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    for _ in 0..REQUESTS {
        fetches(&web, &upstream.url("/"), "200\nasked for /")?;
    }
    let opened = upstream.connections();
    // A request may come before the last one's connection is back in the pool.
    ensure!(opened <= REQUESTS / 5, "{opened} connections for {REQUESTS} requests");
    web.end()
}

/// The container's own certificate authority is trusted, and no other.
fn tls(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-get-tls")?;
    let (ours, others) = (Authority::new()?, Authority::new()?);
    fs::write(dir.join("ca.pem"), ours.pem())?;
    let run = all(daemon).env("SSL_CERT_FILE=/tls/ca.pem").bind(&dir, "/tls", false);
    let web = run.serve()?;
    let url = |upstream: &Upstream, host: &str| format!("https://{host}:{}/secret", upstream.port);
    let known = Upstream::serve(&web.net, Some(ours.vouch("localhost")?.server(&[])?))?;
    fetches(&web, &url(&known, "localhost"), "200\nasked for /secret")?;
    // The certificate has another name.
    fetches(&web, &url(&known, "127.0.0.1"), "error: ErrorCode::TlsCertificateError")?;
    let unknown = Upstream::serve(&web.net, Some(others.vouch("localhost")?.server(&[])?))?;
    fetches(&web, &url(&unknown, "localhost"), "error: ErrorCode::TlsCertificateError")?;
    let plain = Upstream::serve(&web.net, None)?;
    web.get(&format!("/get?{}", url(&plain, "localhost")))?.says("error: ErrorCode::Tls")?;
    web.end()
}

/// An upstream that speaks only HTTP/2: requests share one connection, bodies go both ways.
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
    ensure!(lines == expected, "the upstream received {lines:?}");
    ensure!(upstream.connections() == 1, "{} connections", upstream.connections());
    web.end()
}

/// Without SSL_CERT_FILE the web's root authorities are trusted; a missing file is an error that names it.
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

/// The guest's own sockets; what it sends is not HTTP, so the upstream answers 400.
fn connect(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    web.get(&format!("/connect?127.0.0.1:{}", upstream.port))?.status(200)?.says("HTTP/1.1 400")?;
    let gone = upstream.port;
    drop(upstream);
    web.get(&format!("/connect?127.0.0.1:{gone}"))?.is(200, "error: connection-refused")?;
    web.end()
}
