//! A socket's life: opened, bound, listening, connected, shut down; and what it is called.

use rustix::net::{
    self, AddressFamily, Shutdown, SocketAddrAny, SocketFlags, SocketType, getpeername, getsockname,
};

use super::address::{self, Address, Buffer};
use super::errno::kernel;
use super::{DGRAM, Errno, Memory, NONBLOCK, STREAM, Sockets};

impl Sockets {
    /// `sock_open`: a new socket of a family (1 IPv4, 2 IPv6, 3 unix) and a type (1 datagrams, 2 stream), whose
    /// number is written to `ro_fd`. It blocks.
    ///
    /// # Errors
    /// `Inval` for another family or type; `MFile` when the process has as many files as it may.
    pub fn open(&mut self, memory: &mut Memory<'_>, af: u32, kind: u32, ro_fd: u32) -> Result<(), Errno> {
        memory.place::<4>(ro_fd)?;
        let family = match af {
            address::INET4 => AddressFamily::INET,
            address::INET6 => AddressFamily::INET6,
            address::UNIX => AddressFamily::UNIX,
            _ => return Err(Errno::Inval),
        };
        let kind = match kind {
            DGRAM => SocketType::DGRAM,
            STREAM => SocketType::STREAM,
            _ => return Err(Errno::Inval),
        };
        let socket = kernel(|| net::socket_with(family, kind, SocketFlags::CLOEXEC, None))?;
        self.tell(memory, ro_fd, socket)
    }

    /// `sock_bind`, V1 and V2.
    ///
    /// # Errors
    /// Those of an address (`Inval`, `Acces`, `NameTooLong`) and what bind(2) says.
    pub fn bind(&mut self, memory: &mut Memory<'_>, fd: u32, address: u32, port: u32) -> Result<(), Errno> {
        let socket = &self.at(fd)?.fd;
        match Address::read(memory, address, port)? {
            Address::Inet(address) => kernel(|| net::bind(socket, &address)),
            Address::Unix(address) => kernel(|| net::bind(socket, &address)),
        }
    }

    /// `sock_listen`.
    ///
    /// # Errors
    /// What listen(2) says.
    pub fn listen(&mut self, _: &mut Memory<'_>, fd: u32, backlog: u32) -> Result<(), Errno> {
        let socket = &self.at(fd)?.fd;
        kernel(|| net::listen(socket, backlog.cast_signed()))
    }

    /// `sock_accept` of two parameters: the number of the new socket, which blocks, is written to `ro_fd`.
    ///
    /// # Errors
    /// `Again` when the listener does not block and nobody is there; what accept(2) says.
    pub fn accept_v1(&mut self, memory: &mut Memory<'_>, fd: u32, ro_fd: u32) -> Result<(), Errno> {
        self.accept_v2(memory, fd, 0, ro_fd)
    }

    /// `sock_accept` of three parameters, preview1's own: the new socket does not block where `fdflags` has 4.
    ///
    /// # Errors
    /// `Inval` for flags that preview1 does not have, and those of [`accept_v1`](Self::accept_v1).
    pub fn accept_v2(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        fdflags: u32,
        ro_fd: u32,
    ) -> Result<(), Errno> {
        let listener = &self.at(fd)?.fd;
        memory.place::<4>(ro_fd)?;
        let mut flags = SocketFlags::CLOEXEC;
        flags.set(SocketFlags::NONBLOCK, super::fdflags(fdflags)? & NONBLOCK != 0);
        let accepted = kernel(|| net::accept_with(listener, flags))?;
        self.tell(memory, ro_fd, accepted)
    }

    /// `sock_connect`, V1 and V2.
    ///
    /// # Errors
    /// `Acces` where the policy refuses; `InProgress` when the socket does not block; those of an address and what
    /// connect(2) says.
    pub fn connect(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        address: u32,
        port: u32,
    ) -> Result<(), Errno> {
        let socket = &self.at(fd)?.fd;
        match Address::read(memory, address, port)? {
            Address::Inet(address) => {
                self.may_reach(address)?;
                // Again after a signal it waits for the same connection.
                kernel(|| net::connect(socket, &address))
            }
            Address::Unix(address) => kernel(|| net::connect(socket, &address)),
        }
    }

    /// `sock_shutdown`: 1 receives no more, 2 sends no more, 3 both.
    ///
    /// # Errors
    /// `Inval` for other flags; what shutdown(2) says.
    pub fn shutdown(&mut self, _: &mut Memory<'_>, fd: u32, sdflags: u32) -> Result<(), Errno> {
        let socket = &self.at(fd)?.fd;
        let how = match sdflags {
            1 => Shutdown::Read,
            2 => Shutdown::Write,
            3 => Shutdown::Both,
            _ => return Err(Errno::Inval),
        };
        kernel(|| net::shutdown(socket, how))
    }

    /// `sock_getlocaladdr` of four parameters: what the socket is bound to, as octets; 4, 6 or 3 (unix) as
    /// `addr_type`; the port in host order.
    ///
    /// # Errors
    /// `NoMem` when the buffer is too small; `Inval` for one of another size than 4, 16 or 128 bytes.
    pub fn getlocaladdr_v1(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        address: u32,
        addr_type: u32,
        port: u32,
    ) -> Result<(), Errno> {
        let told = self.local(fd)?;
        told_v1(memory, told, address, addr_type, port)
    }

    /// `sock_getlocaladdr` of three parameters: the family is in the storage.
    ///
    /// # Errors
    /// Those of [`getlocaladdr_v1`](Self::getlocaladdr_v1).
    pub fn getlocaladdr_v2(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        address: u32,
        port: u32,
    ) -> Result<(), Errno> {
        let told = self.local(fd)?;
        told_v2(memory, told, address, port).map(|_| ())
    }

    /// `sock_getpeeraddr` of four parameters: whom the socket is connected to, as in
    /// [`getlocaladdr_v1`](Self::getlocaladdr_v1).
    ///
    /// # Errors
    /// `NotConn`, and those of [`getlocaladdr_v1`](Self::getlocaladdr_v1).
    pub fn getpeeraddr_v1(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        address: u32,
        addr_type: u32,
        port: u32,
    ) -> Result<(), Errno> {
        let told = self.peer(fd)?;
        told_v1(memory, told, address, addr_type, port)
    }

    /// `sock_getpeeraddr` of three parameters: the family is in the storage.
    ///
    /// # Errors
    /// Those of [`getpeeraddr_v1`](Self::getpeeraddr_v1).
    pub fn getpeeraddr_v2(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        address: u32,
        port: u32,
    ) -> Result<(), Errno> {
        let told = self.peer(fd)?;
        told_v2(memory, told, address, port).map(|_| ())
    }

    fn local(&self, fd: u32) -> Result<Option<SocketAddrAny>, Errno> {
        let socket = &self.at(fd)?.fd;
        kernel(|| getsockname(socket)).map(Some)
    }

    fn peer(&self, fd: u32) -> Result<Option<SocketAddrAny>, Errno> {
        let socket = &self.at(fd)?.fd;
        kernel(|| getpeername(socket))
    }
}

/// Tells an address and its port.
fn told_v2(
    memory: &mut Memory<'_>,
    told: Option<SocketAddrAny>,
    address: u32,
    port: u32,
) -> Result<Option<Address>, Errno> {
    memory.place::<4>(port)?;
    let (buffer, known) = (Buffer::at(memory, address)?, Address::known(told));
    buffer.fill(memory, known.as_ref())?;
    memory.put(port, known.as_ref().map_or(0, Address::port).to_le_bytes())?;
    Ok(known)
}

/// Tells what kind of address it is, besides.
fn told_v1(
    memory: &mut Memory<'_>,
    told: Option<SocketAddrAny>,
    address: u32,
    addr_type: u32,
    port: u32,
) -> Result<(), Errno> {
    memory.place::<4>(addr_type)?;
    let known = told_v2(memory, told, address, port)?;
    memory.put(addr_type, known.as_ref().map_or(0, Address::version).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::guest::{ADDRESS, Guest, INET4, INET6, OUT, UNIX};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn a_guest_serves_and_is_served() {
        let mut guest = Guest::new();
        for ip in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()] {
            let (listener, address) = guest.bound(ip.ip(), STREAM);
            guest.call(|sockets, memory| sockets.listen(memory, listener, 1)).unwrap();
            let client = TcpStream::connect(address).unwrap();
            let served = guest.accept(listener).unwrap();
            let version = if ip.is_ipv4() { 4 } else { 6 };
            let named = guest.address(16);
            let told = |guest: &mut Guest| (guest.u32(OUT), guest.u32(OUT + 4));
            guest
                .call(|sockets, memory| sockets.getpeeraddr_v1(memory, served, named, OUT, OUT + 4))
                .unwrap();
            assert_eq!(told(&mut guest), (version, client.local_addr().unwrap().port().into()));
            guest
                .call(|sockets, memory| sockets.getlocaladdr_v1(memory, served, named, OUT, OUT + 4))
                .unwrap();
            assert_eq!(told(&mut guest), (version, address.port().into()));
            let named = guest.address(128);
            guest.call(|sockets, memory| sockets.getpeeraddr_v2(memory, served, named, OUT)).unwrap();
            let family = if ip.is_ipv4() { INET4 } else { INET6 };
            assert_eq!(u32::from(guest.bytes[ADDRESS as usize]), family);
        }
    }

    #[test]
    fn what_is_opened_closes_when_something_is_executed() {
        let mut guest = Guest::new();
        let (one, other) = guest.pair();
        for fd in [one, other] {
            let socket = &guest.sockets.at(fd).unwrap().fd;
            let flags = rustix::io::fcntl_getfd(socket).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "{}", socket.as_raw_fd());
        }
    }

    #[test]
    fn who_does_not_wait_is_told_so() {
        let mut guest = Guest::new();
        let (listener, address) = guest.listener();
        guest.nonblocking(listener);
        assert_eq!(guest.accept(listener), Err(Errno::Again));
        let client = guest.open(INET4, STREAM);
        guest.nonblocking(client);
        assert_eq!(guest.connect(client, address), Err(Errno::InProgress));
        // The loopback connects at once.
        let accept =
            |sockets: &mut Sockets, memory: &mut Memory<'_>| sockets.accept_v2(memory, listener, 4, OUT);
        guest.call(accept).unwrap();
        let served = guest.u32(OUT);
        assert_eq!(guest.recv(served, 1, 0), Err(Errno::Again));
        assert_eq!(
            guest.call(|sockets, memory| sockets.accept_v2(memory, listener, 32, OUT)),
            Err(Errno::Inval)
        );
    }

    #[test]
    fn nobody_listens_and_nobody_may_be_reached() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut guest = Guest::new();
        let fd = guest.open(INET4, STREAM);
        assert_eq!(guest.connect(fd, closed), Err(Errno::ConnRefused));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut guest = Guest::bounded(|_| false);
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
        let mut guest = Guest::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        guest.sockets.insert_listener(3, listener.into());
        let _client = TcpStream::connect(address).unwrap();
        assert!(guest.accept(3).unwrap() >= 1 << 20);
    }

    #[test]
    fn unix_sockets_have_paths() {
        let (folder, mut guest) = (tempfile::tempdir().unwrap(), Guest::new());
        let path = folder.path().join("s");
        let listener = guest.open(UNIX, STREAM);
        let named = guest.storage(UNIX, path.as_os_str().as_encoded_bytes());
        guest.call(|sockets, memory| sockets.bind(memory, listener, named, 0)).unwrap();
        guest.call(|sockets, memory| sockets.listen(memory, listener, 1)).unwrap();
        let client = guest.open(UNIX, STREAM);
        guest.call(|sockets, memory| sockets.connect(memory, client, named, 0)).unwrap();
        guest.accept(listener).unwrap();
        guest.bytes[ADDRESS as usize..][..128].fill(7);
        guest.call(|sockets, memory| sockets.getpeeraddr_v2(memory, client, named, OUT)).unwrap();
        let told = &guest.bytes[ADDRESS as usize..][..128];
        assert_eq!(told[..2], [UNIX as u8, 0]);
        assert!(told[2..].starts_with(path.as_os_str().as_encoded_bytes()) && told[127] == 0);
        let named = guest.address(16);
        let small = |sockets: &mut Sockets, memory: &mut Memory<'_>| {
            sockets.getpeeraddr_v1(memory, client, named, OUT, OUT + 4)
        };
        assert_eq!(guest.call(small), Err(Errno::NoMem));
    }

    #[test]
    fn names_without_a_file_are_refused() {
        let mut guest = Guest::bounded(|_| true);
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
        let mut guest = Guest::new();
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
    fn what_there_is_no_socket_of_is_refused() {
        let mut guest = Guest::new();
        for (family, kind) in [(0, STREAM), (4, STREAM), (INET4, 0), (INET4, 3), (u32::MAX, u32::MAX)] {
            let opened = guest.call(|sockets, memory| sockets.open(memory, family, kind, OUT));
            assert_eq!(opened, Err(Errno::Inval), "{family} {kind}");
        }
        let outside = guest.bytes.len() as u32;
        let opened = guest.call(|sockets, memory| sockets.open(memory, INET4, STREAM, outside));
        assert_eq!((opened, guest.sockets.contains(1 << 20)), (Err(Errno::Fault), false));
    }
}
