//! Sending and receiving of streams and datagrams.

use super::*;
use crate::socket::guest::{ADDRESS, DATA, DGRAM, INET4, OUT, TestGuest, UNIX};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

#[test]
fn a_stream_carries_bytes_until_it_is_shut_down() {
    let mut guest = TestGuest::new();
    let (one, other) = guest.pair();
    assert_eq!(guest.send(one, b"hello"), Ok(5));
    assert_eq!(guest.recv(other, 2, 1), Ok((b"he".to_vec(), false)), "peeked");
    assert_eq!(guest.recv(other, 2, 0), Ok((b"he".to_vec(), false)));
    assert_eq!(guest.recv(other, 3, 2), Ok((b"llo".to_vec(), false)), "all of it");
    assert_eq!(guest.recv(other, 1, 4), Err(Errno::Inval));
    for sdflags in [0, 4, u32::MAX] {
        let shut = guest.call(|sockets, memory| sockets.shutdown(memory, one, sdflags));
        assert_eq!(shut, Err(Errno::Inval), "{sdflags}");
    }
    guest.call(|sockets, memory| sockets.shutdown(memory, one, 2)).unwrap();
    assert_eq!(guest.send(one, b"more"), Err(Errno::Pipe));
    assert_eq!(guest.recv(other, 1, 0), Ok((vec![], false)));
}

#[test]
fn buffers_are_filled_in_their_order() {
    let mut guest = TestGuest::new();
    let (one, other) = guest.pair();
    guest.send(one, b"abcdef").unwrap();
    let iovecs: [u32; 6] = [DATA + 8, 4, DATA, 0, DATA, 4];
    guest.put(32, &iovecs.map(u32::to_le_bytes).concat());
    guest.call(|sockets, memory| sockets.fd_read(memory, other, 32, 3, OUT)).unwrap();
    assert_eq!(guest.u32(OUT), 6);
    assert_eq!(guest.bytes[DATA as usize..][..12], *b"efcdef\0\0abcd");
    guest.call(|sockets, memory| sockets.fd_write(memory, other, 32, 3, OUT)).unwrap();
    assert_eq!(guest.recv(one, 100, 0), Ok((b"abcdefcd".to_vec(), false)));
}

#[test]
fn datagrams_have_a_sender() {
    let mut guest = TestGuest::new();
    let (fd, own) = guest.bound(Ipv4Addr::LOCALHOST, DGRAM);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let theirs = peer.local_addr().unwrap();
    peer.send_to(b"long", own).unwrap();
    let (named, data) = (guest.address(128), guest.buffer(3));
    let receive = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
        sockets.recv_from_v2(memory, fd, data, 1, named, 0, OUT, OUT + 4, OUT + 8)
    };
    guest.call(receive).unwrap();
    assert_eq!((guest.u32(OUT), guest.u32(OUT + 4)), (theirs.port().into(), 3), "in host order");
    assert_eq!(guest.u32(OUT + 8), 1, "cut off");
    assert_eq!(guest.bytes[ADDRESS as usize..][..8], [INET4 as u8, 0, 127, 0, 0, 1, 0, 0]);
    peer.send_to(b"", own).unwrap();
    let named = guest.address(16);
    let receive = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
        sockets.recv_from_v1(memory, fd, data, 1, named, 0, OUT + 4, OUT + 8)
    };
    guest.call(receive).unwrap();
    assert_eq!((guest.u32(OUT + 4), guest.u32(OUT + 8)), (0, 0));
    assert_eq!(guest.bytes[ADDRESS as usize..][..4], [127, 0, 0, 1]);
    let named = guest.octets(theirs);
    guest.put(DATA, b"answer");
    let data = guest.buffer(6);
    let send = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
        sockets.send_to(memory, fd, data, 1, named, theirs.port().into(), 0, OUT)
    };
    guest.call(send).unwrap();
    let mut got = [0; 10];
    assert_eq!(peer.recv_from(&mut got).unwrap(), (6, own));
}

#[test]
fn a_datagram_obeys_the_policy() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_nonblocking(true).unwrap();
    let mut guest = TestGuest::bounded(|_| false);
    let fd = guest.open(INET4, DGRAM);
    let to: SocketAddr = peer.local_addr().unwrap();
    let (named, data) = (guest.octets(to), guest.buffer(1));
    let send = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
        sockets.send_to(memory, fd, data, 1, named, to.port().into(), 0, OUT)
    };
    assert_eq!(guest.call(send), Err(Errno::Acces));
    assert!(peer.recv(&mut [0]).is_err());
}

#[test]
fn unix_datagrams_have_a_path_or_no_sender() {
    let (dir, mut guest) = (tempfile::tempdir().unwrap(), TestGuest::new());
    let [own, theirs] = ["own", "theirs"].map(|name| dir.path().join(name));
    let fd = guest.open(UNIX, DGRAM);
    let named = guest.storage(UNIX, own.as_os_str().as_encoded_bytes());
    guest.call(|sockets, memory| sockets.bind(memory, fd, named, 0)).unwrap();
    let check = |guest: &mut TestGuest, peer: &UnixDatagram, path: &[u8]| {
        peer.send_to(b"hello", &own).unwrap();
        let (named, data) = (guest.address(128), guest.buffer(10));
        let receive = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
            sockets.recv_from_v2(memory, fd, data, 1, named, 0, OUT, OUT + 4, OUT + 8)
        };
        guest.call(receive).unwrap();
        assert_eq!((guest.u32(OUT), guest.u32(OUT + 4)), (0, 5));
        assert!(guest.bytes[ADDRESS as usize + 2..].starts_with(path));
    };
    let peer = UnixDatagram::bind(&theirs).unwrap();
    check(&mut guest, &peer, theirs.as_os_str().as_encoded_bytes());
    check(&mut guest, &UnixDatagram::unbound().unwrap(), &[0; 108]);
    // The longest path that the kernel allows, without a terminating zero, cannot be read.
    let long = dir.path().join("x".repeat(107 - dir.path().as_os_str().len()));
    assert_eq!(long.as_os_str().len(), 108);
    let address = rustix::net::SocketAddrUnix::new(&long).unwrap();
    let peer = UnixDatagram::unbound().unwrap();
    rustix::net::bind(&peer, &address).unwrap();
    guest.bytes[ADDRESS as usize..][..2].fill(7);
    check(&mut guest, &peer, &[0; 0]);
    assert_eq!(guest.bytes[ADDRESS as usize..][..2], [0, 0]);
}

#[test]
fn an_invalid_address_is_refused_before_anything_is_received() {
    let mut guest = TestGuest::new();
    let (one, other) = guest.pair();
    guest.send(one, b"x").unwrap();
    let (named, outside) = (guest.buffer(1), guest.bytes.len() as u32);
    for (length, flags, expected) in [
        (outside, OUT, Errno::Fault),
        (OUT, outside, Errno::Fault),
        (OUT + 1, OUT, Errno::AddrNotAvail),
        (OUT, OUT + 1, Errno::AddrNotAvail),
    ] {
        let receive = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
            sockets.recv(memory, other, named, 1, 0, length, flags)
        };
        assert_eq!(guest.call(receive), Err(expected));
    }
    assert_eq!(guest.recv(other, 1, 0), Ok((b"x".to_vec(), false)));
}

#[test]
fn overlapping_buffers_are_refused_before_anything_is_received() {
    let mut guest = TestGuest::new();
    let (one, other) = guest.pair();
    guest.send(one, b"abc").unwrap();
    let iovecs: [u32; 4] = [DATA, 4, DATA + 3, 4];
    guest.put(32, &iovecs.map(u32::to_le_bytes).concat());
    let read = |sockets: &mut Sockets, memory: &mut Memory<'_>| sockets.fd_read(memory, other, 32, 2, OUT);
    assert_eq!(guest.call(read), Err(Errno::Inval));
    assert_eq!(guest.recv(other, 9, 0), Ok((b"abc".to_vec(), false)));
    // Buffers to be sent may overlap.
    guest.put(DATA, b"0123456");
    guest.call(|sockets, memory| sockets.fd_write(memory, other, 32, 2, OUT)).unwrap();
    assert_eq!(guest.recv(one, 9, 0), Ok((b"01233456".to_vec(), false)));
}

#[test]
fn a_stream_has_no_sender() {
    let mut guest = TestGuest::new();
    let (one, other) = guest.pair();
    guest.send(one, b"x").unwrap();
    guest.bytes[ADDRESS as usize..][..128].fill(7);
    let (named, data) = (guest.address(128), guest.buffer(1));
    let receive = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
        sockets.recv_from_v2(memory, other, data, 1, named, 0, OUT, OUT + 4, OUT + 8)
    };
    guest.call(receive).unwrap();
    assert_eq!((guest.u32(OUT), guest.u32(OUT + 4)), (0, 1));
    assert_eq!(guest.bytes[ADDRESS as usize..][..128], [0; 128]);
}

#[test]
fn a_blocking_call_waits_for_its_peer() {
    let mut guest = TestGuest::new();
    let (listener, address) = guest.listener();
    let peer = std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        for part in [b"wai", b"ted"] {
            std::io::Write::write_all(&mut stream, part).unwrap();
        }
    });
    let served = guest.accept(listener).unwrap();
    assert_eq!(guest.recv(served, 6, 2), Ok((b"waited".to_vec(), false)));
    peer.join().unwrap();
}
