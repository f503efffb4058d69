//! Idle connections, and too many of them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod serving;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Failure, Handler, Permit, RequestBody};
use workload::Http;

use serving::{Repeats, serve_with, settings};

const PATIENCE: Duration = Duration::from_millis(500);
/// The connection preface of an HTTP/2 client, with an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `GET http://h/` on stream 1.
const REQUEST: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01h";
/// The same on stream 3, cut off inside the header block.
const HALF: &[u8] = b"\0\0\x01\x01\x01\0\0\0\x03\x82";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0lighters";
const DATA: u8 = 0;
const PINGED: u8 = 6;

/// Answers after some time.
struct Slow(Duration);

impl Handler for Slow {
    type Body = Full<Bytes>;

    async fn handle(
        self: Arc<Self>,
        _request: Request<RequestBody>,
        permit: Permit,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        permit.begin();
        tokio::time::sleep(self.0).await;
        Ok(Response::new(Full::new("slow".into())))
    }
}

fn impatient() -> Http {
    Http { header_timeout: PATIENCE, ..settings() }
}

/// Sends `sent` as an HTTP/2 client, then pings, and answers pings if `polite`. Returns how long the server kept the
/// connection, and the number of DATA frames received.
fn lasts(server: SocketAddr, sent: &[&[u8]], polite: bool) -> (Duration, usize) {
    const MAX: Duration = Duration::from_secs(10);
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    stream.write_all(&sent.concat()).unwrap();
    let (begin, mut seen, mut data) = (Instant::now(), Vec::new(), 0);
    while begin.elapsed() < MAX {
        let mut block = [0; 4096];
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(length) => seen.extend_from_slice(&block[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        while let Some((kind, flags, payload)) = frame(&mut seen) {
            data += usize::from(kind == DATA);
            if polite && kind == PINGED && flags == 0 {
                let _ = stream.write_all(&[b"\0\0\x08\x06\x01\0\0\0\0", &*payload].concat());
            }
        }
        // No other frame may be sent inside a header block.
        if !sent.contains(&HALF) && stream.write_all(PING).is_err() {
            break;
        }
    }
    (begin.elapsed(), data)
}

/// The first complete frame: its type, flags and payload.
fn frame(seen: &mut Vec<u8>) -> Option<(u8, u8, Vec<u8>)> {
    let length = usize::from(*seen.get(1)?) << 8 | usize::from(*seen.get(2)?);
    let whole = seen.get(..9 + length)?.to_vec();
    seen.drain(..9 + length);
    Some((whole[3], whole[4], whole[9..].to_vec()))
}

#[test]
fn pings_keep_no_connection() {
    let server = serve_with(impatient(), Repeats);
    for sent in [&[PREFACE][..], &[PREFACE, REQUEST], &[PREFACE, REQUEST, HALF], &[PREFACE, HALF]] {
        for polite in [true, false] {
            let (lasted, data) = lasts(server, sent, polite);
            assert!(lasted >= PATIENCE && lasted < 6 * PATIENCE, "{sent:?}, polite: {polite}: {lasted:?}");
            assert_eq!(data > 0, sent.contains(&REQUEST), "{sent:?}: it was answered {data} times");
        }
    }
}

#[test]
fn a_slow_response_is_waited_for() {
    let server = serve_with(impatient(), Slow(3 * PATIENCE));
    let (lasted, data) = lasts(server, &[PREFACE, REQUEST], true);
    assert!(data > 0 && lasted >= 4 * PATIENCE, "{data} {lasted:?}");
}

/// Whether a request on this connection is answered `within` that time.
fn answered(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    asked.is_ok() && stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0)
}

const SOON: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_millis(200);

/// A connection from another loopback address.
fn connect_from(peer: &str, server: SocketAddr) -> TcpStream {
    let peer: SocketAddr = peer.parse().unwrap();
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&stream, &peer).unwrap();
    connect(&stream, &server).unwrap();
    stream.into()
}

#[test]
fn one_client_takes_no_more_than_its_part() {
    let server = serve_with(Http { connections_per_peer: Some(2), ..settings() }, Repeats);
    let mut mine = [(); 3].map(|()| TcpStream::connect(server).unwrap());
    let [first, second, third] = mine.each_mut().map(|stream| answered(stream, SOON));
    assert!(first && second && !third);
    assert!(answered(&mut connect_from("127.0.0.2:0", server), SOON));
    drop(mine);
    // Until the server has seen the closed connections.
    std::thread::sleep(NEVER);
    assert!(answered(&mut TcpStream::connect(server).unwrap(), SOON));
}

/// The server accepts as many as leave the guest its descriptors; the next waits until one ends.
#[test]
fn connections_leave_descriptors_to_the_guest() {
    const FEW: u64 = 96;
    const FIT: usize = 32;
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(FEW), ..limits }).unwrap();
    let server = serve_with(Http { connections: 4096, header_timeout: SOON, ..settings() }, Repeats);
    let mut streams = vec![TcpStream::connect(server).unwrap()];
    let begun = answered(&mut streams[0], SOON);
    // The server reads the limit once, when it starts; the test's own side needs as many again.
    setrlimit(Resource::Nofile, limits).unwrap();
    assert!(begun);
    streams.extend((1..FIT).map(|_| TcpStream::connect(server).unwrap()));
    assert!(streams.iter_mut().all(|stream| answered(stream, SOON)));
    let mut waiting = TcpStream::connect(server).unwrap();
    assert!(!answered(&mut waiting, NEVER), "one more is served");
    assert!(answered(&mut streams[0], SOON), "the others go on");
    streams.pop();
    waiting.set_read_timeout(Some(SOON)).unwrap();
    assert!(waiting.read(&mut [0; 4096]).unwrap() > 0, "it has waited in vain");
}
