//! Polls of clocks, sockets and files.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use crate::socket::Errno;
use crate::socket::guest::{DGRAM, INET4, OUT, OtherFiles, STREAM, TestGuest};

const INPUT: u32 = 4096;
const OUTPUT: u32 = 8192;
const MILLISECOND: u64 = 1_000_000;

/// What a test subscribes to: a clock's number, time and flags, or a descriptor.
#[derive(Clone, Copy)]
enum Interest {
    Clock(u32, u64, u8),
    Read(u32),
    Write(u32),
}
use Interest::{Clock, Read, Write};

#[derive(Debug, PartialEq, Eq)]
struct Reported {
    /// The subscription's index.
    nth: u64,
    error: u16,
    kind: u8,
    nbytes: u64,
    flags: u8,
}

fn ok(nth: u64, kind: u8, nbytes: u64, flags: u8) -> Reported {
    Reported { nth, error: 0, kind, nbytes, flags }
}

fn failed(nth: u64, kind: u8, error: Errno) -> Reported {
    Reported { nth, error: error.number(), kind, nbytes: 0, flags: 0 }
}

fn poll(
    guest: &mut TestGuest,
    interests: &[Interest],
    edge: bool,
    others: &mut OtherFiles,
) -> Result<Vec<Reported>, Errno> {
    for (nth, interest) in interests.iter().enumerate() {
        let mut bytes = [0; 48];
        bytes[0] = nth as u8;
        let (kind, id) = match *interest {
            Clock(id, timeout, flags) => {
                bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
                bytes[40] = flags;
                (0, id)
            }
            Read(fd) => (1, fd),
            Write(fd) => (2, fd),
        };
        bytes[8] = kind;
        bytes[16..20].copy_from_slice(&id.to_le_bytes());
        guest.put(INPUT + 48 * nth as u32, &bytes);
    }
    let count = interests.len() as u32;
    guest.call(|sockets, memory| sockets.poll_oneoff(memory, INPUT, OUTPUT, count, OUT, edge, others))?;
    let events = guest.u32(OUT) as usize;
    let event = |bytes: &[u8; 32]| Reported {
        nth: u64::from_le_bytes(*bytes.first_chunk().unwrap()),
        error: u16::from_le_bytes([bytes[8], bytes[9]]),
        kind: bytes[10],
        nbytes: u64::from_le_bytes(bytes[16..24].try_into().unwrap()),
        flags: bytes[24],
    };
    Ok(guest.bytes[OUTPUT as usize..].as_chunks().0[..events].iter().map(event).collect())
}

fn level(guest: &mut TestGuest, interests: &[Interest]) -> Vec<Reported> {
    poll(guest, interests, false, &mut OtherFiles(None)).unwrap()
}

#[test]
fn a_past_time_is_reported_at_once() {
    let mut guest = TestGuest::new();
    for clock in [Clock(0, 0, 0), Clock(1, 0, 0), Clock(0, 1, 1), Clock(1, 1_000, 1)] {
        assert_eq!(level(&mut guest, &[clock]), [ok(0, 0, 0, 0)]);
    }
    // All that are due, and no others.
    let all = [Clock(1, u64::MAX, 0), Clock(1, 1, 0), Clock(0, u64::MAX, 1), Clock(1, 0, 0)];
    assert_eq!(level(&mut guest, &all), [ok(1, 0, 0, 0), ok(3, 0, 0, 0)]);
}

#[test]
fn a_future_time_is_waited_for() {
    let mut guest = TestGuest::new();
    let since = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    // The guest's monotonic clock always reads 1000.
    for clock in [Clock(0, MILLISECOND, 0), Clock(1, MILLISECOND, 0), Clock(1, 1_000 + MILLISECOND, 1)] {
        let began = Instant::now();
        assert_eq!(level(&mut guest, &[Clock(0, u64::MAX, 0), clock]), [ok(1, 0, 0, 0)]);
        assert!(began.elapsed() >= Duration::from_nanos(MILLISECOND));
    }
    let time = since() + MILLISECOND;
    assert_eq!(level(&mut guest, &[Clock(0, u64::MAX, 1), Clock(0, time, 1)]), [ok(1, 0, 0, 0)]);
    assert!(since() >= time);
}

#[test]
fn errors_are_reported_by_events() {
    let mut guest = TestGuest::new();
    let (one, _other) = guest.pair();
    let all = [Clock(2, 0, 0), Clock(4, 0, 0), Read(77), Read(one), Read(one), Write(one), Write(one)];
    let expected = [
        failed(0, 0, Errno::Inval),
        failed(1, 0, Errno::Inval),
        failed(2, 1, Errno::BadF),
        failed(4, 1, Errno::Exist),
        ok(5, 2, 1, 0),
        failed(6, 2, Errno::Exist),
    ];
    assert_eq!(level(&mut guest, &all), expected);
}

#[test]
fn invalid_calls_are_refused() {
    let mut guest = TestGuest::new();
    guest.put(INPUT + 8, &[3]);
    let end = guest.bytes.len() as u32;
    for (input, output, count, events, expected) in [
        (INPUT, OUTPUT, 0, OUT, Errno::Inval),
        (INPUT, OUTPUT, 1, OUT, Errno::Inval),
        (INPUT + 4, OUTPUT, 1, OUT, Errno::AddrNotAvail),
        (INPUT + 48, OUTPUT + 4, 1, OUT, Errno::AddrNotAvail),
        (INPUT + 48, OUTPUT, 1, OUT + 2, Errno::AddrNotAvail),
        (end, OUTPUT, 1, OUT, Errno::Fault),
        (INPUT + 48, end - 24, 1, OUT, Errno::Fault),
        (INPUT + 48, OUTPUT, u32::MAX, OUT, Errno::Fault),
    ] {
        let others = &mut OtherFiles(None);
        let polled = guest
            .call(|sockets, memory| sockets.poll_oneoff(memory, input, output, count, events, false, others));
        assert_eq!(polled, Err(expected), "{input} {output} {count} {events}");
    }
}

#[test]
fn sockets_are_reported_while_they_are_ready() {
    let mut guest = TestGuest::new();
    let (one, other) = guest.pair();
    let both = [Read(other), Write(other), Clock(1, u64::MAX, 0)];
    assert_eq!(level(&mut guest, &both), [ok(1, 2, 1, 0)]);
    guest.send(one, b"abc").unwrap();
    for _ in 0..2 {
        assert_eq!(level(&mut guest, &[Read(other)]), [ok(0, 1, 3, 0)]);
    }
    guest.sockets.fd_close(one).unwrap();
    assert_eq!(level(&mut guest, &[Read(other)]), [ok(0, 1, 3, 0)], "it may still be written to");
    guest.recv(other, 3, 0).unwrap();
    assert_eq!(level(&mut guest, &[Read(other), Write(other)]), [ok(0, 1, 0, 0), ok(1, 2, 1, 0)]);
    guest.call(|sockets, memory| sockets.shutdown(memory, other, 2)).unwrap();
    assert_eq!(level(&mut guest, &[Read(other), Write(other)]), [ok(0, 1, 0, 1), ok(1, 2, 1, 1)]);
}

#[test]
fn a_listener_is_reported_when_a_client_connects() {
    for edge in [false, true] {
        let mut guest = TestGuest::new();
        let (listener, address) = guest.listener();
        let client = std::thread::spawn(move || TcpStream::connect(address).unwrap());
        let events = poll(&mut guest, &[Read(listener)], edge, &mut OtherFiles(None)).unwrap();
        assert_eq!(events, [ok(0, 1, 1, 0)]);
        client.join().unwrap();
    }
}

#[test]
fn a_connection_that_succeeds_or_fails_is_reported() {
    let mut guest = TestGuest::new();
    let (_listener, address) = guest.listener();
    let fd = guest.open(INET4, STREAM);
    guest.nonblocking(fd);
    assert_eq!(guest.connect(fd, address), Err(Errno::InProgress));
    assert_eq!(level(&mut guest, &[Write(fd)]), [ok(0, 2, 1, 0)]);
    // Bound, so that no other socket listens there.
    let (_bound, refusing) = guest.bound(Ipv4Addr::LOCALHOST, STREAM);
    let fd = guest.open(INET4, STREAM);
    guest.nonblocking(fd);
    assert_eq!(guest.connect(fd, refusing), Err(Errno::InProgress));
    assert_eq!(level(&mut guest, &[Write(fd)]), [ok(0, 2, 1, 1)]);
}

#[test]
fn other_files_are_ready_or_watched() {
    let mut guest = TestGuest::new();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    // Open for as long as the process lives.
    let reader: &'static OwnedFd = Box::leak(Box::new(reader));
    let mut files = OtherFiles(Some(reader.as_fd()));
    let (one, _other) = guest.pair();
    let all = [Read(0), Write(1), Read(one)];
    for edge in [false, true] {
        assert_eq!(poll(&mut guest, &all, edge, &mut files), Ok(vec![ok(1, 2, 1, 0)]));
    }
    rustix::io::write(&writer, b"ab").unwrap();
    for edge in [false, true] {
        let events = poll(&mut guest, &[Read(0), Read(one)], edge, &mut files);
        assert_eq!(events, Ok(vec![ok(0, 1, 2, 0)]));
    }
}

#[test]
fn an_edge_is_reported_once() {
    let mut guest = TestGuest::new();
    let (one, other) = guest.pair();
    let now = Clock(1, 0, 0);
    let edge = |guest: &mut TestGuest, interests: &[Interest]| {
        poll(guest, interests, true, &mut OtherFiles(None)).unwrap()
    };
    assert_eq!(edge(&mut guest, &[now, Read(other)]), [ok(0, 0, 0, 0)]);
    guest.send(one, b"a").unwrap();
    assert_eq!(edge(&mut guest, &[Read(other)]), [ok(0, 1, 1, 0)]);
    assert_eq!(edge(&mut guest, &[now, Read(other)]), [ok(0, 0, 0, 0)], "not a second time");
    guest.send(one, b"b").unwrap();
    assert_eq!(edge(&mut guest, &[Read(other)]), [ok(0, 1, 2, 0)], "new data is an edge");
    let asked_for_more = edge(&mut guest, &[Read(other), Write(other)]);
    assert_eq!(asked_for_more, [ok(0, 1, 2, 0), ok(1, 2, 1, 0)], "another interest rearms it");
    assert_eq!(edge(&mut guest, &[now, Read(other), Write(other)]), [ok(0, 0, 0, 0)]);
    assert_eq!(level(&mut guest, &[Read(other)]), [ok(0, 1, 2, 0)], "a level is always reported");
    edge(&mut guest, &[now]);
    assert_eq!(edge(&mut guest, &[Read(other)]), [ok(0, 1, 2, 0)], "so does a call without it");
}

#[test]
fn an_edge_does_not_outlive_its_socket() {
    let mut guest = TestGuest::new();
    let fd = guest.open(INET4, DGRAM);
    // A duplicate, for which the kernel would keep it in the set.
    let _twin = rustix::io::fcntl_dupfd_cloexec(&guest.sockets.at(fd).unwrap().fd, 0).unwrap();
    let events = poll(&mut guest, &[Write(fd)], true, &mut OtherFiles(None)).unwrap();
    assert_eq!(events, [ok(0, 2, 1, 0)]);
    guest.sockets.fd_close(fd).unwrap();
    let events =
        poll(&mut guest, &[Write(fd), Read(fd), Clock(1, 0, 0)], true, &mut OtherFiles(None)).unwrap();
    // Now preview1's, all of whose files are writable here.
    assert_eq!(events, [ok(0, 2, 1, 0), failed(1, 1, Errno::BadF), ok(2, 0, 0, 0)]);
}

#[test]
fn events_may_be_written_over_their_subscriptions() {
    let mut guest = TestGuest::new();
    let subscription: Vec<u8> = (0..48).map(|at| if at == 0 { 7 } else { 0 }).collect();
    guest.put(INPUT, &[&subscription[..], &subscription].concat());
    let others = &mut OtherFiles(None);
    guest
        .call(|sockets, memory| sockets.poll_oneoff(memory, INPUT, INPUT, 2, INPUT + 96, false, others))
        .unwrap();
    assert_eq!(guest.u32(INPUT + 96), 2);
    let expected: Vec<u8> = (0..32).map(|at| if at == 0 { 7 } else { 0 }).collect();
    assert_eq!(guest.bytes[INPUT as usize..][..64], [&expected[..], &expected].concat());
}

#[test]
fn a_write_by_the_peer_wakes_a_poll() {
    for edge in [false, true] {
        let mut guest = TestGuest::new();
        let (listener, address) = guest.listener();
        let mut client = TcpStream::connect(address).unwrap();
        let served = guest.accept(listener).unwrap();
        let writer = std::thread::spawn(move || client.write_all(b"late").map(|()| client));
        let events = poll(&mut guest, &[Read(served), Clock(1, u64::MAX, 0)], edge, &mut OtherFiles(None));
        assert_eq!(events, Ok(vec![ok(0, 1, 4, 0)]));
        writer.join().unwrap().unwrap();
    }
}
