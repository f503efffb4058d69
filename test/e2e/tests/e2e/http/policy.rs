//! The annotations for what a guest may reach, for requests, sockets and look-ups alike.

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::dns::Dns;
use e2e::http::Served;
use e2e::http::upstream::Upstream;
use e2e::runner::Scenario;

use super::addresses::refused;
use super::all;
use super::lookups::with_file;
use crate::data::shared_dir;

const OUTBOUND: &str = "lighter.wasm/allowed-outbound";
const LOOKUP: &str = "lighter.wasm/allowed-lookup";
const DENIED: &str = "error: ErrorCode::HttpRequestDenied";
/// An address of the guest's network besides loopback.
const OWN: &str = "10.0.0.9/32";
const NAMES: &[(&str, &str)] =
    &[("good.test", "10.0.0.9"), ("bad.test", "127.0.0.2"), ("here.good.test", "127.0.0.1")];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-allowed-address", address),
        Scenario::ours("http-allowed-name", name),
        Scenario::ours("http-allowed-lookup", lookup),
        Scenario::ours("http-allowed-nothing", nothing),
        Scenario::ours("http-allowed-wrong", wrong),
    ]
}

/// Checks the guest's answer to `path`.
fn says(web: &Served<'_>, path: &str, expected: &str) -> Result<()> {
    web.get(path)?.is(200, expected).map(drop).with_context(|| path.to_owned())
}

/// How many lines of the log contain `words`.
fn lines(web: &Served<'_>, words: &str) -> usize {
    web.log().lines().filter(|line| line.contains(words)).count()
}

/// Only the allowed address can be reached, by requests and by sockets; each refusal is logged once.
fn address(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).annotation(OUTBOUND, "127.0.0.1").serve()?;
    let upstream = Upstream::serve(&web.net, None)?;
    let port = upstream.port;
    says(&web, &format!("/get?{}", upstream.url("/")), "200\nasked for /")?;
    web.get(&format!("/connect?127.0.0.1:{port}"))?.status(200)?.says("HTTP/1.1 400")?;
    for _ in 0..3 {
        says(&web, &format!("/get?http://127.0.0.2:{port}/"), DENIED)?;
        says(&web, "/connect?127.0.0.2:81", "error: access-denied")?;
    }
    for target in [format!("127.0.0.2:{port}"), "127.0.0.2:81".into()] {
        let words = format!("lighter: the guest may not connect to {target}: {OUTBOUND} does not name it");
        web.logs(&words)?;
        ensure!(lines(&web, &words) == 1, "{words:?} is logged {} times", lines(&web, &words));
    }
    web.end()
}

/// Only the allowed name can be reached, at its port; its address not under another name. Neither the image's variables
/// nor the name server's answers can extend that.
fn name(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-allowed-name")?;
    let run = with_file(all(daemon), &dir, "/etc/resolv.conf", "nameserver 127.0.0.1\n")?;
    // The ports are fixed: the annotation is set before the network and its servers exist.
    let run = run.env("LIGHTER_ALLOWED_OUTBOUND=*").env("LIGHTER_ALLOWED_LOOKUP=*");
    let web = run.annotation(OUTBOUND, "good.test:8080,*.good.test:8080").serve()?;
    web.net.add(OWN)?;
    let dns = Dns::start(&web.net, NAMES)?;
    says(&web, "/get?http://good.test:8080/", "200\nhello")?;
    says(&web, "/get?http://good.test:8081/", DENIED)?;
    says(&web, "/get?http://bad.test:8080/", DENIED)?;
    says(&web, "/get?http://here.good.test:8080/", DENIED)?;
    web.logs("lighter: the guest may not reach 127.0.0.1 by the name here.good.test: it is loopback")?;
    web.logs("lighter: the guest may not look up bad.test")?;
    ensure!(!dns.asked().iter().any(|name| name.starts_with("bad")), "{:?}", dns.asked());
    web.end()
}

/// Look-ups have their own list.
fn lookup(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-allowed-lookup")?;
    let run = with_file(all(daemon), &dir, "/etc/resolv.conf", "nameserver 127.0.0.1\n")?;
    let web = run.annotation(LOOKUP, "good.test").serve()?;
    web.net.add(OWN)?;
    let dns = Dns::start(&web.net, NAMES)?;
    says(&web, "/lookup?good.test", "10.0.0.9")?;
    says(&web, "/lookup?bad.test", "error: access-denied")?;
    says(&web, "/get?http://bad.test:8080/", DENIED)?;
    says(&web, "/get?http://good.test:8080/", "200\nhello")?;
    web.logs("lighter: the guest may not look up bad.test")?;
    ensure!(!dns.asked().iter().any(|name| name.starts_with("bad")), "{:?}", dns.asked());
    web.end()
}

/// An empty list allows nothing; clients reach the guest all the same. The variable works like the annotation.
fn nothing(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).annotation(OUTBOUND, "").serve()?;
    says(&web, "/get?http://127.0.0.1:8080/", DENIED)?;
    says(&web, "/connect?127.0.0.1:8080", "error: access-denied")?;
    says(&web, "/lookup?good.test", "error: access-denied")?;
    web.end()?;
    let web = all(daemon).env("LIGHTER_ALLOWED_OUTBOUND=127.0.0.2").serve()?;
    says(&web, "/get?http://127.0.0.1:8080/", DENIED)?;
    says(&web, "/get?http://127.0.0.2:8080/", "200\nhello")?;
    web.end()
}

/// Create refuses an invalid item; the error names it and the problem.
fn wrong(daemon: &Containerd) -> Result<()> {
    for (key, value, words) in [
        (OUTBOUND, "http://a.test", "\"http://a.test\", which is a URL; write its host, or HOST:PORT"),
        (OUTBOUND, "a.test:http", "where \"http\" is not a port"),
        (LOOKUP, "a.test:80", "which is more than a name"),
    ] {
        refused(&all(daemon).annotation(key, value).finish()?, &[&format!("{key} names"), words])?;
    }
    Ok(())
}
