//! Opening, binding and connecting sockets, and their addresses.

use super::*;
use crate::socket::guest::{ADDRESS, INET4, INET6, OUT, TestGuest, UNIX};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

#[test]
fn a_guest_serves_and_is_served() {
    let mut guest = TestGuest::new();
    for ip in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()] {
        let (listener, address) = guest.bound(ip.ip(), STREAM);
        guest.call(|sockets, memory| sockets.listen(memory, listener, 1)).unwrap();
        let client = TcpStream::connect(address).unwrap();
        let served = guest.accept(listener).unwrap();
        let version = if ip.is_ipv4() { 4 } else { 6 };
        let named = guest.address(16);
        let written = |guest: &mut TestGuest| (guest.u32(OUT), guest.u32(OUT + 4));
        guest.call(|sockets, memory| sockets.getpeeraddr_v1(memory, served, named, OUT, OUT + 4)).unwrap();
        assert_eq!(written(&mut guest), (version, client.local_addr().unwrap().port().into()));
        guest.call(|sockets, memory| sockets.getlocaladdr_v1(memory, served, named, OUT, OUT + 4)).unwrap();
        assert_eq!(written(&mut guest), (version, address.port().into()));
        let named = guest.address(128);
        guest.call(|sockets, memory| sockets.getpeeraddr_v2(memory, served, named, OUT)).unwrap();
        let family = if ip.is_ipv4() { INET4 } else { INET6 };
        assert_eq!(u32::from(guest.bytes[ADDRESS as usize]), family);
    }
}

#[test]
fn sockets_are_close_on_exec() {
    let mut guest = TestGuest::new();
    let (one, other) = guest.pair();
    for fd in [one, other] {
        let socket = &guest.sockets.at(fd).unwrap().fd;
        let flags = rustix::io::fcntl_getfd(socket).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "{}", socket.as_raw_fd());
    }
}

#[test]
fn nonblocking_calls_return_again() {
    let mut guest = TestGuest::new();
    let (listener, address) = guest.listener();
    guest.nonblocking(listener);
    assert_eq!(guest.accept(listener), Err(Errno::Again));
    let client = guest.open(INET4, STREAM);
    guest.nonblocking(client);
    assert_eq!(guest.connect(client, address), Err(Errno::InProgress));
    // Loopback connects at once.
    let accept = |sockets: &mut Sockets, memory: &mut Memory<'_>| sockets.accept_v2(memory, listener, 4, OUT);
    guest.call(accept).unwrap();
    let served = guest.u32(OUT);
    assert_eq!(guest.recv(served, 1, 0), Err(Errno::Again));
    assert_eq!(guest.call(|sockets, memory| sockets.accept_v2(memory, listener, 32, OUT)), Err(Errno::Inval));
}

#[test]
fn refused_and_forbidden_connections() {
    let mut guest = TestGuest::new();
    // Bound, so that no other socket listens there.
    let (_bound, closed) = guest.bound(Ipv4Addr::LOCALHOST, STREAM);
    let fd = guest.open(INET4, STREAM);
    assert_eq!(guest.connect(fd, closed), Err(Errno::ConnRefused));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut guest = TestGuest::bounded(|_| false);
    let fd = guest.open(INET4, STREAM);
    assert_eq!(guest.connect(fd, listener.local_addr().unwrap()), Err(Errno::Acces));
    let named = guest.address(16);
    let peer = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
        sockets.getpeeraddr_v1(memory, fd, named, OUT, OUT + 4)
    };
    assert_eq!(guest.call(peer), Err(Errno::NotConn));
}

#[test]
fn a_preopened_listener_accepts() {
    let mut guest = TestGuest::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    guest.sockets.insert_listener(3, listener.into());
    let _client = TcpStream::connect(address).unwrap();
    assert!(guest.accept(3).unwrap() >= 1 << 20);
}

#[test]
fn unix_sockets_have_paths() {
    let (dir, mut guest) = (tempfile::tempdir().unwrap(), TestGuest::new());
    let path = dir.path().join("s");
    let listener = guest.open(UNIX, STREAM);
    let named = guest.storage(UNIX, path.as_os_str().as_encoded_bytes());
    guest.call(|sockets, memory| sockets.bind(memory, listener, named, 0)).unwrap();
    guest.call(|sockets, memory| sockets.listen(memory, listener, 1)).unwrap();
    let client = guest.open(UNIX, STREAM);
    guest.call(|sockets, memory| sockets.connect(memory, client, named, 0)).unwrap();
    guest.accept(listener).unwrap();
    guest.bytes[ADDRESS as usize..][..128].fill(7);
    guest.call(|sockets, memory| sockets.getpeeraddr_v2(memory, client, named, OUT)).unwrap();
    let bytes = &guest.bytes[ADDRESS as usize..][..128];
    assert_eq!(bytes[..2], [UNIX as u8, 0]);
    assert!(bytes[2..].starts_with(path.as_os_str().as_encoded_bytes()) && bytes[127] == 0);
    let named = guest.address(16);
    let small = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
        sockets.getpeeraddr_v1(memory, client, named, OUT, OUT + 4)
    };
    assert_eq!(guest.call(small), Err(Errno::NoMem));
}

#[test]
fn abstract_names_are_refused() {
    let mut guest = TestGuest::bounded(|_| true);
    let fd = guest.open(UNIX, DGRAM);
    for (name, expected) in [
        (&b"\0hidden"[..], Errno::Acces),
        (b"", Errno::Inval),
        (&[b'a'; 126], Errno::NameTooLong),
        (b"there/is/none", Errno::NoEnt),
    ] {
        let named = guest.storage(UNIX, name);
        let connected = guest.call(|sockets, memory| sockets.connect(memory, fd, named, 0));
        assert_eq!(connected, Err(expected), "{name:?}");
    }
}

#[test]
fn addresses_of_other_shapes_are_refused() {
    let mut guest = TestGuest::new();
    let fd = guest.open(INET4, STREAM);
    for (length, port) in [(0, 0), (5, 0), (127, 0), (u32::MAX, 0), (4, 1 << 16)] {
        let named = guest.address(length);
        let expected = if length == u32::MAX { Errno::Fault } else { Errno::Inval };
        let bound = guest.call(|sockets, memory| sockets.bind(memory, fd, named, port));
        assert_eq!(bound, Err(expected), "{length} {port}");
    }
    for family in [0, 4] {
        let named = guest.storage(family, &[127, 0, 0, 1]);
        let bound = guest.call(|sockets, memory| sockets.bind(memory, fd, named, 0));
        assert_eq!(bound, Err(Errno::Inval), "{family}");
    }
}

#[test]
fn unknown_families_and_types_are_refused() {
    let mut guest = TestGuest::new();
    for (family, kind) in [(0, STREAM), (4, STREAM), (INET4, 0), (INET4, 3), (u32::MAX, u32::MAX)] {
        let opened = guest.call(|sockets, memory| sockets.open(memory, family, kind, OUT));
        assert_eq!(opened, Err(Errno::Inval), "{family} {kind}");
    }
    let outside = guest.bytes.len() as u32;
    let opened = guest.call(|sockets, memory| sockets.open(memory, INET4, STREAM, outside));
    assert_eq!((opened, guest.sockets.contains(1 << 20)), (Err(Errno::Fault), false));
}
