//! Which of a guest's descriptors are sockets. They close when they go from here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use network::Egress;

use super::Errno;
use super::poll::Edges;
use super::segments::{Habit, Segments};
use crate::Memory;

/// The first number of those that are given to new sockets: far above what preview1 gives to files.
const FIRST: u32 = 1 << 20;
/// Above it a number would be negative to a guest written in C.
const LAST: u32 = i32::MAX.cast_unsigned();

/// Where a guest may go.
pub trait Policy: Send {
    /// Whether the guest may connect or send to `address`: asked of every connect and every datagram with an
    /// address. It is the one the kernel would reach: an IPv4 address is never hidden in one of IPv6, and no
    /// address is unspecified, which would be the guest's own host.
    fn may_reach(&self, address: SocketAddr) -> bool;
}

/// The sockets of one guest, and the functions that it imports for them.
pub struct Sockets {
    policy: Box<dyn Policy>,
    open: BTreeMap<u32, Socket>,
    /// The next number to be given, unless it is taken. None is given again soon, so that who uses a number
    /// after closing it finds nothing.
    next: u32,
    pub(super) edges: Edges,
    pub(super) segments: Segments,
}

/// A socket of the kernel's. Its type, addresses and whether it waits are known there.
pub(super) struct Socket {
    pub(super) fd: OwnedFd,
    /// Whether the guest was born with it.
    pub(super) preopened: bool,
    pub(super) habit: Habit,
}

impl Sockets {
    /// No sockets yet.
    pub fn new(policy: Box<dyn Policy>) -> Self {
        Self {
            policy,
            open: BTreeMap::new(),
            next: FIRST,
            edges: Edges::default(),
            segments: Segments::default(),
        }
    }

    /// No sockets yet, of a guest that may go where `egress` says.
    pub fn within(egress: Arc<Egress>) -> Self {
        struct Judge(Arc<Egress>);
        impl Policy for Judge {
            fn may_reach(&self, address: SocketAddr) -> bool {
                self.0.may_reach(address)
            }
        }
        Self::new(Box::new(Judge(egress)))
    }

    /// Gives the guest a socket that listens already, under a number that preview1 will not give away. Whether it waits
    /// and closes on exec is as the caller has it.
    pub fn insert_listener(&mut self, guest_fd: u32, listener: OwnedFd) {
        self.put(guest_fd, Socket { fd: listener, preopened: true, habit: Habit::Whole });
    }

    /// Takes in a socket that somebody else has open for the guest, under the guest's number for it, until
    /// [`fd_close`](Self::fd_close). What it sends is never held back.
    pub fn adopt(&mut self, guest_fd: u32, socket: OwnedFd) {
        self.put(guest_fd, Socket { fd: socket, preopened: false, habit: Habit::Datagrams });
    }

    /// Whether `fd` is a socket. Calls with any other descriptor are preview1's.
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

    /// Takes a new socket in and tells its number at `place`, which has been checked.
    pub(super) fn tell(
        &mut self,
        memory: &mut Memory<'_>,
        place: u32,
        fd: OwnedFd,
        habit: Habit,
    ) -> Result<(), Errno> {
        // The kernel's bound on open files is reached long before all numbers are taken.
        while self.contains(self.next) {
            self.next = following(self.next);
        }
        memory.put(place, self.next.to_le_bytes())?;
        self.put(self.next, Socket { fd, preopened: false, habit });
        self.next = following(self.next);
        Ok(())
    }

    /// Puts a socket where another one may be, which closes.
    pub(super) fn put(&mut self, fd: u32, socket: Socket) {
        let _ = self.take(fd);
        self.open.insert(fd, socket);
    }

    /// Takes a socket out, which closes when it is dropped.
    pub(super) fn take(&mut self, fd: u32) -> Result<Socket, Errno> {
        let socket = self.open.remove(&fd).ok_or(Errno::BadF)?;
        self.edges.forget(fd, &socket.fd);
        Ok(socket)
    }

    /// Asks the policy; a refusal is `Acces`.
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
    use crate::socket::guest::{Guest, INET4, STREAM};

    #[test]
    fn an_engine_may_keep_them_with_what_it_sends_between_threads() {
        fn check<T: Send>() {}
        check::<Sockets>();
    }

    #[test]
    fn numbers_are_not_given_again_soon() {
        let mut guest = Guest::new();
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
    fn the_policy_is_asked_for_what_the_kernel_would_reach() {
        let guest = Guest::bounded(|address| address != "127.0.0.1:80".parse().unwrap());
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
