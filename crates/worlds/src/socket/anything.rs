//! Property tests: calls with arbitrary arguments neither panic nor write outside of the guest's memory.

use std::net::{Ipv4Addr, TcpListener};

use proptest::prelude::*;
use tempfile::TempDir;

use super::guest::{DATA, DGRAM, INET4, OUT, OtherFiles, STREAM, TestGuest, UNIX};
use super::{Errno, Query, Sockets};
use crate::Memory;

/// The size of the memory in bytes: small, so that addresses hit it.
const SIZE: u32 = 512;
/// The number of calls.
const CALLS: u8 = 29;

/// Makes call `number`.
fn call(number: u8, sockets: &mut Sockets, memory: &mut Memory<'_>, a: [u32; 8]) -> Result<(), Errno> {
    match number {
        0 => sockets.open(memory, a[0], a[1], a[2]),
        1 => sockets.bind(memory, a[0], a[1], a[2]),
        2 => sockets.listen(memory, a[0], a[1]),
        3 => sockets.accept_v1(memory, a[0], a[1]),
        4 => sockets.accept_v2(memory, a[0], a[1], a[2]),
        5 => sockets.connect(memory, a[0], a[1], a[2]),
        6 => sockets.recv(memory, a[0], a[1], a[2], a[3], a[4], a[5]),
        7 => sockets.recv_from_v1(memory, a[0], a[1], a[2], a[3], a[4], a[5], a[6]),
        8 => sockets.recv_from_v2(memory, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]),
        9 => sockets.send(memory, a[0], a[1], a[2], a[3], a[4]),
        10 => sockets.send_to(memory, a[0], a[1], a[2], a[3], a[4], a[5], a[6]),
        11 => sockets.shutdown(memory, a[0], a[1]),
        12 => sockets.getsockopt(memory, a[0], a[1], a[2], a[3], a[4]),
        13 => sockets.setsockopt(memory, a[0], a[1], a[2], a[3], a[4]),
        14 => sockets.getlocaladdr_v1(memory, a[0], a[1], a[2], a[3]),
        15 => sockets.getlocaladdr_v2(memory, a[0], a[1], a[2]),
        16 => sockets.getpeeraddr_v1(memory, a[0], a[1], a[2], a[3]),
        17 => sockets.getpeeraddr_v2(memory, a[0], a[1], a[2]),
        18 => sockets.fd_fdstat_get(memory, a[0], a[1]),
        19 => sockets.fd_read(memory, a[0], a[1], a[2], a[3]),
        20 => sockets.fd_write(memory, a[0], a[1], a[2], a[3]),
        21 => sockets.fd_filestat_get(memory, a[0], a[1]),
        22 => sockets.fd_prestat_get(memory, a[0], a[1]),
        23 => sockets.fd_renumber(a[0], a[1], a[2] & 1 != 0),
        24 => sockets.fd_close(a[0]),
        // Always non-blocking.
        25 => sockets.fd_fdstat_set_flags(a[0], a[1] | 4),
        26 => {
            let query = Query::read(memory, a[0], a[1], a[2], a[3], a[4])?;
            let known = query.known()?.unwrap_or_default();
            query.answer(memory, &known, a[5], a[6], a[7])
        }
        // Used only where it does not block; `poll` tests the waiting.
        27 | 28 => sockets.poll_oneoff(memory, a[0], a[1], a[2], a[3], number == 28, &mut OtherFiles(None)),
        _ => unreachable!("there are {CALLS} calls"),
    }
}

/// An argument of any kind: small, an address inside, at the end of the memory, or arbitrary.
fn argument() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..8_u32,
        4 => (0..SIZE / 8).prop_map(|nth| nth * 8),
        1 => 0..SIZE + 8,
        1 => any::<u32>(),
    ]
}

/// Plausible contents: small numbers and addresses, as little-endian words, or anything.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![3 => argument(), 1 => any::<u32>()];
    prop::collection::vec(word, SIZE as usize / 4)
        .prop_map(|words| words.into_iter().flat_map(u32::to_le_bytes).collect())
}

/// A guest with one non-blocking socket of each kind, numbered from 0, whose policy refuses everything. Unix sockets
/// are bound already, in a directory of their own, so that none creates a file elsewhere.
fn crowd() -> (TestGuest, TempDir) {
    let (mut guest, dir) = (TestGuest::bounded(|_| false), tempfile::tempdir().unwrap());
    let (one, other) = connected(&mut guest);
    let (datagrams, _) = guest.bound(Ipv4Addr::LOCALHOST, DGRAM);
    let paths = [STREAM, DGRAM].map(|kind| {
        let fd = guest.open(UNIX, kind);
        let named = guest.storage(UNIX, dir.path().join(kind.to_string()).as_os_str().as_encoded_bytes());
        guest.call(|sockets, memory| sockets.bind(memory, fd, named, 0)).unwrap();
        fd
    });
    let all = [one, other, datagrams, guest.open(INET4, STREAM), paths[0], paths[1]];
    for (number, fd) in (0..).zip(all) {
        guest.nonblocking(fd);
        guest.sockets.fd_renumber(fd, number, true).unwrap();
    }
    (guest, dir)
}

/// Two connected streams, although the policy refuses everything.
fn connected(guest: &mut TestGuest) -> (u32, u32) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (served, _) = listener.accept().unwrap();
    guest.sockets.insert_listener(100, client.into());
    guest.sockets.insert_listener(101, served.into());
    (100, 101)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_call_panics_or_leaves_its_memory(
        bytes in contents(),
        calls in prop::collection::vec((0..27_u8, prop::array::uniform8(argument())), 1..12),
    ) {
        let (mut guest, _dir) = crowd();
        // Guard bytes around the memory.
        let mut all = [&[0x5a; 64][..], &bytes, &[0x5a; 64]].concat();
        for (number, arguments) in calls {
            let mut memory = Memory::new(&mut all[64..][..SIZE as usize]);
            let result = call(number, &mut guest.sockets, &mut memory, arguments);
            prop_assert!(!matches!(result, Err(Errno::Success)), "{number}");
        }
        prop_assert!(all[..64].iter().chain(&all[64 + SIZE as usize..]).all(|byte| *byte == 0x5a));
    }

    #[test]
    fn no_call_accepts_a_closed_descriptor(
        bytes in contents(),
        number in 1..26_u8,
        mut arguments in prop::array::uniform8(argument()),
    ) {
        let mut guest = TestGuest::new();
        let fd = guest.open(INET4, STREAM);
        guest.sockets.fd_close(fd).unwrap();
        arguments[0] = fd;
        let mut all = bytes;
        let result = call(number, &mut guest.sockets, &mut Memory::new(&mut all), arguments);
        prop_assert_eq!(result, Err(Errno::BadF));
    }

    #[test]
    fn a_poll_of_any_subscriptions_returns(
        subscriptions in prop::collection::vec((0..4_u8, argument(), any::<u64>(), 0..3_u8), 0..10),
        place in 0..12_usize,
        edge in any::<bool>(),
        rounds in 1..4,
    ) {
        let (mut guest, _dir) = crowd();
        // One is ready at once, so that no call blocks.
        let mut all = subscriptions;
        all.insert(place.min(all.len()), (0, 1, 0, 0));
        for (nth, (kind, id, timeout, flags)) in (0..).zip(&all) {
            let at = DATA + nth * 48;
            guest.put(at, &u64::from(nth).to_le_bytes());
            guest.put(at + 8, &[*kind]);
            guest.put(at + 16, &id.to_le_bytes());
            guest.put(at + 24, &timeout.to_le_bytes());
            guest.put(at + 40, &[*flags]);
        }
        let count = all.len() as u32;
        for _ in 0..rounds {
            let polled = guest.call(|sockets, memory| {
                sockets.poll_oneoff(memory, DATA, 1 << 15, count, OUT, edge, &mut OtherFiles(None))
            });
            if all.iter().any(|(kind, ..)| *kind == 3) {
                prop_assert_eq!(polled, Err(Errno::Inval));
            } else {
                polled.unwrap();
                let result = guest.u32(OUT);
                prop_assert!((1..=count).contains(&result));
            }
        }
    }

    #[test]
    fn a_poll_with_any_arguments_does_not_panic(
        bytes in contents(),
        arguments in prop::array::uniform8(argument()),
        edge in any::<bool>(),
    ) {
        let (mut guest, _dir) = crowd();
        let mut all = bytes;
        // Unknown kinds, if it reads any subscription, make it fail at once.
        for at in (0..all.len()).step_by(8) {
            all[at] |= 4;
        }
        let number = if edge { 28 } else { 27 };
        let result = call(number, &mut guest.sockets, &mut Memory::new(&mut all), arguments);
        prop_assert!(result.is_err());
    }
}
