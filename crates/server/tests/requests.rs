//! Raw requests over a connection, and how the server answers them when its handler accepts everything.

#![allow(clippy::unwrap_used, reason = "tests")]

mod serving;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use server::{BoxError, Failure, Handler, Permit, RequestBody};

use serving::{Repeats, serve_with, settings};

/// Answers with an endless body, and counts how much of it was polled.
struct Endless(Arc<AtomicUsize>);

impl Handler for Endless {
    type Body = Self;

    async fn handle(
        self: Arc<Self>,
        _request: Request<RequestBody>,
        _permit: Permit,
    ) -> Result<Response<Self>, Failure> {
        Ok(Response::new(Self(Arc::clone(&self.0))))
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        const CHUNK: usize = 64 << 10;
        const ALL: usize = 256 << 20;
        // Bounded, so that a server that buffers all of it does not exhaust the machine.
        let left = self.0.fetch_add(CHUNK, Ordering::Relaxed) < ALL;
        Poll::Ready(left.then(|| Ok(Frame::data(Bytes::from_static(&[b'x'; CHUNK])))))
    }
}

fn serve(handler: impl Handler) -> SocketAddr {
    serve_with(settings(), handler)
}

/// Sends `bytes` and shuts down; expects the `status` of the last response, and `text` anywhere in what was received.
#[track_caller]
fn check(server: SocketAddr, bytes: &str, status: &str, text: &str) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    // A connection that is refused early may be closed already.
    let _ = stream.shutdown(Shutdown::Write);
    let mut got = String::new();
    // A server that did not read everything may end with a reset.
    let _ = stream.read_to_string(&mut got);
    let (_, last) = got.rsplit_once("HTTP/1.").unwrap_or_else(|| panic!("no answer to {bytes:?}: {got:?}"));
    assert_eq!(last.get(2..5), Some(status), "{bytes:?}: {got:?}");
    assert!(got.contains(text), "{bytes:?}: {got:?}");
}

#[test]
fn valid_requests_are_answered() {
    let server = serve(Repeats);
    check(server, "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", "200", "[GET /a?b of h]");
    check(server, "GET / HTTP/1.1\r\nHost:\r\n\r\n", "200", "[GET / of ]");
    check(server, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "200", "[GET / of [::1]:80]");
    check(server, "GET http://o/ HTTP/1.1\r\nHost: h\r\n\r\n", "200", "[GET http://o/ of h]");
    check(server, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "200", "[OPTIONS * of h]");
    // HTTP/1.0 requires no Host; the handler gets one all the same.
    check(server, "GET / HTTP/1.0\r\n\r\n", "200", "[GET / of 0.0.0.0:8080]");
}

#[test]
fn invalid_requests_are_refused() {
    let server = serve(Repeats);
    for bytes in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    ] {
        check(server, bytes, "400", "");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9 << 10));
    check(server, &long, "431", "");
    check(server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789", "413", "");
}

/// Against request smuggling: a proxy could use the other length, and take the rest of the body for a request.
#[test]
fn a_body_has_one_length() {
    let server = serve(Repeats);
    let (length, encoding) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for (one, other) in [(length, encoding), (encoding, length)] {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{one}X: y\r\n{other}\r\n");
        check(server, &format!("{head}0\r\n\r\n"), "400", "");
        check(server, &format!("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n{head}0\r\n\r\n"), "400", "[GET /1 of h]");
        let chunked = format!("POST /1 HTTP/1.1\r\nHost: h\r\n{encoding}\r\n2\r\nab\r\n0\r\n\r\n{head}");
        check(server, &chunked, "400", "[POST /1 of h]");
    }
    let fine = format!("POST /1 HTTP/1.1\r\nHost: h\r\n{encoding}\r\n2\r\nab\r\n0\r\n\r\n");
    check(server, &format!("{fine}GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"), "200", "[GET /2 of h]");
}

/// The response before it is not held back.
#[test]
fn a_bad_request_behind_a_good_one_is_refused() {
    let server = serve(Repeats);
    check(server, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\n", "400", "[GET /1 of h]");
}

#[test]
fn half_a_request_does_not_hold_back_the_answer_before_it() {
    let mut stream = TcpStream::connect(serve(Repeats)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HT").unwrap();
    let mut block = [0; 1024];
    let length = stream.read(&mut block).unwrap();
    assert!(block[..length].starts_with(b"HTTP/1.1 200 OK"));
}

/// Back-pressure: the server does not buffer what its client has not read.
#[test]
fn an_answer_is_made_as_fast_as_it_is_read() {
    let made = Arc::new(AtomicUsize::new(0));
    let mut stream = TcpStream::connect(serve(Endless(Arc::clone(&made)))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 15]).unwrap();
    // The kernel's buffers take some mebibytes.
    thread::sleep(Duration::from_millis(300));
    let made = made.load(Ordering::Relaxed);
    assert!(made < 32 << 20, "{made} bytes were made for a client that read 15");
}
