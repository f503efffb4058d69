//! The table of a guest's sockets, by descriptor. A socket closes when it is removed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use network::Egress;

use super::Errno;
use super::poll::Edges;
use super::segments::{Segments, SendPattern};
use crate::Memory;

/// The first number for new sockets: far above those that preview1 gives to files.
const FIRST: u32 = 1 << 20;
/// Higher numbers would be negative to a guest written in C.
const LAST: u32 = i32::MAX.cast_unsigned();

/// What a guest may reach.
pub trait Policy: Send {
    /// Whether the guest may connect or send to `address`: called for every connect and every datagram with an address.
    /// It is the address that the kernel would reach: never an IPv4 address mapped to IPv6, and never the unspecified
    /// address, which is replaced by the loopback address.
    fn may_reach(&self, address: SocketAddr) -> bool;
}

/// The sockets of one guest, and the functions that it imports.
pub struct Sockets {
    policy: Box<dyn Policy>,
    open: BTreeMap<u32, Socket>,
    /// The next number to be given, unless it is taken. Numbers are not reused soon, so that a use after close fails.
    next: u32,
    pub(super) edges: Edges,
    pub(super) segments: Segments,
}

/// A socket of the kernel, which knows its type, addresses and flags.
pub(super) struct Socket {
    pub(super) fd: OwnedFd,
    /// Whether it was open when the guest started.
    pub(super) preopened: bool,
    pub(super) pattern: SendPattern,
}

impl Sockets {
    /// An empty table.
    pub fn new(policy: Box<dyn Policy>) -> Self {
        Self {
            policy,
            open: BTreeMap::new(),
            next: FIRST,
            edges: Edges::default(),
            segments: Segments::default(),
        }
    }

    /// An empty table of a guest that may reach what `egress` allows.
    pub fn within(egress: Arc<Egress>) -> Self {
        struct EgressPolicy(Arc<Egress>);
        impl Policy for EgressPolicy {
            fn may_reach(&self, address: SocketAddr) -> bool {
                self.0.may_reach(address)
            }
        }
        Self::new(Box::new(EgressPolicy(egress)))
    }

    /// Adds a listening socket, under a number that preview1 will not give to a file. Its flags (non-blocking,
    /// close-on-exec) stay as they are.
    pub fn insert_listener(&mut self, guest_fd: u32, listener: OwnedFd) {
        self.put(guest_fd, Socket { fd: listener, preopened: true, pattern: SendPattern::Whole });
    }

    /// Adds a socket that the engine has open for the guest, under the guest's number for it, until
    /// [`fd_close`](Self::fd_close). Its data is never held back.
    pub fn adopt(&mut self, guest_fd: u32, socket: OwnedFd) {
        self.put(guest_fd, Socket { fd: socket, preopened: false, pattern: SendPattern::Datagrams });
    }

    /// Whether `fd` is a socket. Calls with any other descriptor belong to preview1.
    pub fn contains(&self, fd: u32) -> bool {
        self.open.contains_key(&fd)
    }

    /// The socket, or `BadF`.
    pub(super) fn at(&self, fd: u32) -> Result<&Socket, Errno> {
        self.open.get(&fd).ok_or(Errno::BadF)
    }

    pub(super) fn at_mut(&mut self, fd: u32) -> Result<&mut Socket, Errno> {
        self.open.get_mut(&fd).ok_or(Errno::BadF)
    }

    /// Adds a new socket and writes its number to `at`, which has been checked.
    pub(super) fn add(
        &mut self,
        memory: &mut Memory<'_>,
        at: u32,
        fd: OwnedFd,
        pattern: SendPattern,
    ) -> Result<(), Errno> {
        // Terminates: the limit on open files is reached long before all numbers are taken.
        while self.contains(self.next) {
            self.next = following(self.next);
        }
        memory.put(at, self.next.to_le_bytes())?;
        self.put(self.next, Socket { fd, preopened: false, pattern });
        self.next = following(self.next);
        Ok(())
    }

    /// Inserts a socket; one that has the number closes.
    pub(super) fn put(&mut self, fd: u32, socket: Socket) {
        let _ = self.take(fd);
        self.open.insert(fd, socket);
    }

    /// Removes a socket, which closes when it is dropped.
    pub(super) fn take(&mut self, fd: u32) -> Result<Socket, Errno> {
        let socket = self.open.remove(&fd).ok_or(Errno::BadF)?;
        self.edges.forget(fd, &socket.fd);
        Ok(socket)
    }

    /// Checks the policy; a refusal is `Acces`.
    pub(super) fn may_reach(&self, address: SocketAddr) -> Result<(), Errno> {
        let ip = match address.ip().to_canonical() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let allowed = self.policy.may_reach(SocketAddr::new(ip, address.port()));
        if allowed { Ok(()) } else { Err(Errno::Acces) }
    }
}

fn following(number: u32) -> u32 {
    if number < LAST { number + 1 } else { FIRST }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::guest::{INET4, STREAM, TestGuest};

    #[test]
    fn sockets_are_send() {
        fn check<T: Send>() {}
        check::<Sockets>();
    }

    #[test]
    fn numbers_are_not_reused_soon() {
        let mut guest = TestGuest::new();
        let (one, two) = (guest.open(INET4, STREAM), guest.open(INET4, STREAM));
        assert_eq!((one, two), (FIRST, FIRST + 1));
        guest.sockets.fd_close(one).unwrap();
        assert!(!guest.sockets.contains(one));
        assert_eq!(guest.open(INET4, STREAM), FIRST + 2);
        guest.sockets.next = LAST;
        assert_eq!(guest.open(INET4, STREAM), LAST);
        assert_eq!(guest.open(INET4, STREAM), FIRST);
        assert_eq!(guest.open(INET4, STREAM), FIRST + 3);
    }

    #[test]
    fn the_policy_checks_what_the_kernel_would_reach() {
        let guest = TestGuest::bounded(|address| address != "127.0.0.1:80".parse().unwrap());
        let check = |address: &str, expected| {
            assert_eq!(guest.sockets.may_reach(address.parse().unwrap()), expected, "{address}");
        };
        check("127.0.0.1:80", Err(Errno::Acces));
        check("[::ffff:127.0.0.1]:80", Err(Errno::Acces));
        check("0.0.0.0:80", Err(Errno::Acces));
        check("[::ffff:0.0.0.0]:80", Err(Errno::Acces));
        check("127.0.0.1:81", Ok(()));
        check("[::]:80", Ok(()));
    }
}
