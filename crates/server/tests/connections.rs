//! Connections that nobody asks anything over, and too many of them.

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
use server::{Answer, Failure, Permit, RequestBody};
use workload::Http;

use serving::{Repeats, serve_with, settings};

const PATIENCE: Duration = Duration::from_millis(500);
/// What a client of HTTP/2 says first, with no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `GET http://h/` on stream 1.
const REQUEST: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01h";
/// The same on stream 3, but for its end.
const HALF: &[u8] = b"\0\0\x01\x01\x01\0\0\0\x03\x82";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0lighters";
const DATA: u8 = 0;
const PINGED: u8 = 6;

/// Answers after some time.
struct Slow(Duration);

impl Answer for Slow {
    type Body = Full<Bytes>;

    async fn answer(
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

/// How long a client of HTTP/2 is listened to that says this, and then pings, and answers pings if it is polite; and
/// how many frames with an answer's bytes it got.
fn lasts(server: SocketAddr, said: &[&[u8]], polite: bool) -> (Duration, usize) {
    const MOST: Duration = Duration::from_secs(10);
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    stream.write_all(&said.concat()).unwrap();
    let (begin, mut seen, mut data) = (Instant::now(), Vec::new(), 0);
    while begin.elapsed() < MOST {
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
        // In the middle of a head nothing else may be said.
        if !said.contains(&HALF) && stream.write_all(PING).is_err() {
            break;
        }
    }
    (begin.elapsed(), data)
}

/// The first whole frame: its kind, its flags, and what is in it.
fn frame(seen: &mut Vec<u8>) -> Option<(u8, u8, Vec<u8>)> {
    let length = usize::from(*seen.get(1)?) << 8 | usize::from(*seen.get(2)?);
    let whole = seen.get(..9 + length)?.to_vec();
    seen.drain(..9 + length);
    Some((whole[3], whole[4], whole[9..].to_vec()))
}

#[test]
fn pings_keep_no_connection() {
    let server = serve_with(impatient(), Repeats);
    for said in [&[PREFACE][..], &[PREFACE, REQUEST], &[PREFACE, REQUEST, HALF], &[PREFACE, HALF]] {
        for polite in [true, false] {
            let (lasted, data) = lasts(server, said, polite);
            assert!(lasted >= PATIENCE && lasted < 6 * PATIENCE, "{said:?}, polite: {polite}: {lasted:?}");
            assert_eq!(data > 0, said.contains(&REQUEST), "{said:?}: it was answered {data} times");
        }
    }
}

#[test]
fn an_answer_that_takes_its_time_is_waited_for() {
    let server = serve_with(impatient(), Slow(3 * PATIENCE));
    let (lasted, data) = lasts(server, &[PREFACE, REQUEST], true);
    assert!(data > 0 && lasted >= 4 * PATIENCE, "{data} {lasted:?}");
}

/// Whether a request on this connection is answered within some time.
fn answered(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    asked.is_ok() && stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0)
}

const SOON: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_millis(200);

/// A connection from another of this machine's addresses.
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
    // The server is told of an end by the kernel.
    std::thread::sleep(NEVER);
    assert!(answered(&mut TcpStream::connect(server).unwrap(), SOON));
}

/// As many as leave the guest its files; the next has its turn when one is over.
#[test]
fn connections_leave_descriptors_to_the_guest() {
    const FEW: u64 = 96;
    const FIT: usize = 32;
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(FEW), ..limits }).unwrap();
    let server = serve_with(Http { connections: 4096, header_timeout: SOON, ..settings() }, Repeats);
    let mut streams = vec![TcpStream::connect(server).unwrap()];
    let begun = answered(&mut streams[0], SOON);
    // It counts when the server begins; the test's own side needs as many again.
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
