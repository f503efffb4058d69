//! Invalid or ambiguous HTTP: answered with 400, or by closing the connection, and never by the
//! guest.

use anyhow::{Context as _, Result, bail, ensure};
use e2e::containerd::Containerd;
use e2e::http::Served;
use e2e::runner::Scenario;

use super::{all, set};

/// Requests that must not reach the guest, with what is wrong with them.
const BAD: [(&str, &str); 34] = [
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("the same host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("a host with a blank in it", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("CONNECT", "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n"),
    ("GET of *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a method with a blank in it", "GE T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a method with a bracket", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no method", " / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no path", "GET  HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an invalid path", "GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no version", "GET /\r\nHost: a\r\n\r\n"),
    ("version 9.9", "GET / HTTP/9.9\r\nHost: a\r\n\r\n"),
    ("version 1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    ("another protocol", "GET / SMTP/1.1\r\nHost: a\r\n\r\n"),
    ("a NUL in the path", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0: 1\r\n\r\n"),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
    ("a carriage return in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
    ("a name without a colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    ("a blank before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n"),
    ("a folded header", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n"),
    ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab"),
    ("a length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"),
    ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    ("an invalid length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1a\r\n\r\na"),
    ("a length beyond 64 bits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n"),
    (
        "a coding after chunks",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    ),
    ("no chunks at all", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\na"),
    ("chunks, in quotes", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
];

/// Not HTTP at all.
const NOISE: [(&str, &[u8]); 6] = [
    ("binary garbage", &[0xff, 0xfe, 0x80, 0x00, 0x0d, 0x0a, 0x0d, 0x0a]),
    ("blank lines", b"\r\n\r\n\r\n"),
    ("half a TLS hello", &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
    ("half a preface", b"PRI * HTTP/2.0\r\n\r\nS"),
    ("a preface and noise", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    ("one letter", b"G"),
];

/// Bodies of `POST /echo` with invalid chunks.
const CHUNKS: [(&str, &str); 6] = [
    ("an invalid size", "x\r\nabc\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    ("a chunk longer than its size", "2\r\nabc\r\n0\r\n\r\n"),
    ("a negative size", "-1\r\nabc\r\n0\r\n\r\n"),
    ("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("the end in the middle", "5\r\nab"),
];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-malformed", malformed),
        Scenario::ours("http-noise", noise),
        Scenario::ours("http-malformed-chunks", chunks),
        Scenario::ours("http-smuggling", smuggling),
        Scenario::ours("http-huge-line", huge_line),
    ]
}

/// Each is answered with 400 and nothing else; the guest would answer 200 or 404.
fn malformed(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    for (what, request) in BAD {
        let response = response(&web, request.as_bytes()).context(what)?;
        let answers = response.matches("HTTP/1.1 ").count();
        ensure!(
            response.starts_with("HTTP/1.1 400 ") && answers == 1,
            "{what}: the response is {response:?}"
        );
    }
    web.lives()?;
    web.end()
}

/// Closing without an answer is valid here, too; HTTP/2 frames are accepted if they hold no answer of the guest.
fn noise(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    for (what, bytes) in NOISE {
        let response = response(&web, bytes).context(what)?;
        let frames = bytes.starts_with(b"PRI") && !response.contains("hello");
        let valid = response.is_empty() || response.starts_with("HTTP/1.1 400 ") || frames;
        ensure!(valid, "{what}: the response is {response:?}");
    }
    web.lives()?;
    web.end()
}

/// Sends `bytes`, shuts down writing, and returns everything that comes back.
fn response(web: &Served<'_>, bytes: &[u8]) -> Result<String> {
    let mut wire = web.wire()?;
    wire.send(bytes)?;
    // If the request was refused early, the connection may be closed already.
    drop(wire.shut());
    Ok(String::from_utf8_lossy(&wire.rest()?).into_owned())
}

/// The guest sees no end of such a body, and its echo is not terminated either.
fn chunks(daemon: &Containerd) -> Result<()> {
    let web = all(daemon).serve()?;
    for (what, body) in CHUNKS {
        let mut wire = web.wire()?;
        wire.posts("/echo")?;
        wire.send(body)?;
        drop(wire.shut());
        let response = wire.rest()?;
        let response = String::from_utf8_lossy(&response);
        ensure!(
            !response.ends_with("0\r\n\r\n") || !response.starts_with("HTTP/1.1 200"),
            "{what}: the response is {response:?}"
        );
    }
    web.lives()?;
    web.end()
}

/// If two headers disagree on where the body ends, nothing after it is taken as another request.
fn smuggling(daemon: &Containerd) -> Result<()> {
    const HIDDEN: &str = "GET /log?smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let web = all(daemon).serve()?;
    let both =
        |first: String, second: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{first}\r\n{second}\r\n\r\n");
    let length = format!("Content-Length: {}", HIDDEN.len() + 5);
    for head in [
        both(length.clone(), "Transfer-Encoding: chunked"),
        both("Transfer-Encoding: chunked".into(), &length),
        both("Transfer-Encoding: xchunked".into(), &length),
        both("Transfer-Encoding : chunked".into(), &length),
        both("Transfer-Encoding:\tchunked".into(), &length),
        both("Transfer-Encoding: identity, chunked".into(), &length),
        both("Transfer-Encoding: chunked".into(), "Transfer-Encoding: identity"),
        both("X: 1\nTransfer-Encoding: chunked".into(), &length),
    ] {
        let mut wire = web.wire()?;
        wire.send(format!("{head}0\r\n\r\n{HIDDEN}"))?;
        drop(wire.shut());
        let response = wire.rest()?;
        let response = String::from_utf8_lossy(&response);
        let answers = response.matches("HTTP/1.1 ").count();
        if web.log().contains("smuggled") {
            bail!("{head:?} let the hidden request through: {response:?}");
        }
        ensure!(answers <= 1, "{head:?} has {answers} answers: {response:?}");
    }
    web.lives()?;
    web.end()
}

/// A request line without an end is not buffered without limit.
fn huge_line(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("max-header", "8Ki")]).serve()?;
    let mut wire = web.wire()?;
    // The server need not read all of it.
    drop(wire.send(format!("GET /{}", "a".repeat(1 << 20))));
    let response = wire.rest()?;
    let response = String::from_utf8_lossy(&response);
    let status = response.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    ensure!(matches!(status, None | Some("414" | "431" | "400")), "the response is {response:?}");
    web.lives()?;
    web.end()
}
