//! For tests: a guest with a small memory and real sockets, and the calls that the tests share.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;

pub(super) use super::address::{INET4, INET6, UNIX};
pub(super) use super::{DGRAM, STREAM};
use super::{Errno, Others, Policy, Readiness, Sockets};
use crate::Memory;

/// For numbers that a call writes.
pub(super) const OUT: u32 = 8;
/// A pair of address and length, and the socket address that it names.
const NAMED: u32 = 64;
pub(super) const ADDRESS: u32 = 128;
/// The one iovec, and the buffer that it names.
const IOVEC: u32 = 96;
pub(super) const DATA: u32 = 1024;

pub(super) struct TestGuest {
    pub(super) sockets: Sockets,
    pub(super) bytes: Vec<u8>,
}

struct TestPolicy<F>(F);

impl<F: Fn(SocketAddr) -> bool + Send> Policy for TestPolicy<F> {
    fn may_reach(&self, address: SocketAddr) -> bool {
        self.0(address)
    }
}

/// Descriptors that are no sockets: none is open, or all are this one.
pub(super) struct OtherFiles(pub(super) Option<BorrowedFd<'static>>);

impl Others for OtherFiles {
    fn kind(&mut self, _: u32, write: bool) -> Result<Readiness, Errno> {
        match self.0 {
            _ if write => Ok(Readiness::Ready),
            Some(file) => Ok(Readiness::Watch(file)),
            None => Err(Errno::BadF),
        }
    }

    fn monotonic(&mut self) -> u64 {
        1_000
    }
}

impl TestGuest {
    pub(super) fn new() -> Self {
        Self::bounded(|_| true)
    }

    pub(super) fn bounded(policy: impl Fn(SocketAddr) -> bool + Send + 'static) -> Self {
        Self { sockets: Sockets::new(Box::new(TestPolicy(policy))), bytes: vec![0; 1 << 16] }
    }

    /// Makes any call.
    pub(super) fn call<T>(&mut self, call: impl FnOnce(&mut Sockets, &mut Memory<'_>) -> T) -> T {
        call(&mut self.sockets, &mut Memory::new(&mut self.bytes))
    }

    pub(super) fn u32(&mut self, at: u32) -> u32 {
        self.call(|_, memory| memory.u32(at).unwrap())
    }

    pub(super) fn put(&mut self, at: u32, bytes: &[u8]) {
        self.bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn open(&mut self, family: u32, kind: u32) -> u32 {
        self.call(|sockets, memory| sockets.open(memory, family, kind, OUT)).unwrap();
        self.u32(OUT)
    }

    /// Passes a buffer of `length` bytes for an address.
    pub(super) fn address(&mut self, length: u32) -> u32 {
        self.put(NAMED, &ADDRESS.to_le_bytes());
        self.put(NAMED + 4, &length.to_le_bytes());
        NAMED
    }

    /// Passes an address, as octets.
    pub(super) fn octets(&mut self, address: SocketAddr) -> u32 {
        let octets = match address {
            SocketAddr::V4(four) => four.ip().octets().to_vec(),
            SocketAddr::V6(six) => six.ip().octets().to_vec(),
        };
        self.put(ADDRESS, &octets);
        self.address(octets.len() as u32)
    }

    /// Passes an address, as a storage.
    pub(super) fn storage(&mut self, family: u32, bytes: &[u8]) -> u32 {
        self.put(ADDRESS, &[0; 128]);
        self.put(ADDRESS, &[family as u8]);
        self.put(ADDRESS + 2, bytes);
        self.address(128)
    }

    /// Passes a buffer for data.
    pub(super) fn buffer(&mut self, length: u32) -> u32 {
        self.put(IOVEC, &DATA.to_le_bytes());
        self.put(IOVEC + 4, &length.to_le_bytes());
        IOVEC
    }

    pub(super) fn connect(&mut self, fd: u32, to: SocketAddr) -> Result<(), Errno> {
        let named = self.octets(to);
        self.call(|sockets, memory| sockets.connect(memory, fd, named, to.port().into()))
    }

    /// A socket bound to a free port of the host.
    pub(super) fn bound(&mut self, ip: impl Into<std::net::IpAddr>, kind: u32) -> (u32, SocketAddr) {
        let ip = ip.into();
        let fd = self.open(if ip.is_ipv4() { INET4 } else { INET6 }, kind);
        let named = self.octets((ip, 0).into());
        self.call(|sockets, memory| sockets.bind(memory, fd, named, 0)).unwrap();
        (fd, SocketAddr::new(ip, self.local_port(fd)))
    }

    pub(super) fn local_port(&mut self, fd: u32) -> u16 {
        let named = self.address(128);
        self.call(|sockets, memory| sockets.getlocaladdr_v2(memory, fd, named, OUT)).unwrap();
        self.u32(OUT).try_into().unwrap()
    }

    pub(super) fn listener(&mut self) -> (u32, SocketAddr) {
        let (fd, address) = self.bound(Ipv4Addr::LOCALHOST, STREAM);
        self.call(|sockets, memory| sockets.listen(memory, fd, 8)).unwrap();
        (fd, address)
    }

    pub(super) fn accept(&mut self, listener: u32) -> Result<u32, Errno> {
        self.call(|sockets, memory| sockets.accept_v1(memory, listener, OUT))?;
        Ok(self.u32(OUT))
    }

    /// Two connected streams of the guest's.
    pub(super) fn pair(&mut self) -> (u32, u32) {
        let (listener, address) = self.listener();
        let one = self.open(INET4, STREAM);
        self.connect(one, address).unwrap();
        let other = self.accept(listener).unwrap();
        self.sockets.fd_close(listener).unwrap();
        (one, other)
    }

    pub(super) fn send(&mut self, fd: u32, data: &[u8]) -> Result<u32, Errno> {
        self.put(DATA, data);
        let named = self.buffer(data.len() as u32);
        self.call(|sockets, memory| sockets.send(memory, fd, named, 1, 0, OUT))?;
        Ok(self.u32(OUT))
    }

    /// Receives up to `max` bytes, with flags. Returns them, and whether the datagram was longer.
    pub(super) fn recv(&mut self, fd: u32, max: u32, flags: u32) -> Result<(Vec<u8>, bool), Errno> {
        let named = self.buffer(max);
        self.call(|sockets, memory| sockets.recv(memory, fd, named, 1, flags, OUT, OUT + 4))?;
        let length = self.u32(OUT) as usize;
        Ok((self.bytes[DATA as usize..][..length].to_vec(), self.bytes[OUT as usize + 4] == 1))
    }

    pub(super) fn nonblocking(&mut self, fd: u32) {
        self.sockets.fd_fdstat_set_flags(fd, 4).unwrap();
    }
}
