//! Opens, binds, connects and shuts down sockets, and returns their addresses.

use rustix::net::{
    self, AddressFamily, Shutdown, SocketAddrAny, SocketFlags, SocketType, getpeername, getsockname,
};

use super::address::{self, Address, Buffer};
use super::errno::kernel;
use super::segments::SendPattern;
use super::{DGRAM, Errno, NONBLOCK, STREAM, Sockets};
use crate::Memory;

impl Sockets {
    /// `sock_open`: opens a blocking socket of a family (1 IPv4, 2 IPv6, 3 unix) and a type (1 datagrams, 2 stream), and
    /// writes its number to `ro_fd`.
    ///
    /// # Errors
    /// `Inval` for another family or type; `MFile` at the process's limit of open files.
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
        let pattern = if kind == SocketType::STREAM { SendPattern::Whole } else { SendPattern::Datagrams };
        if kind == SocketType::STREAM && family != AddressFamily::UNIX {
            // The ABI has no option for it, and guests write heads and bodies separately: each body would wait for the
            // peer's delayed acknowledgement, 40 ms. Accepted sockets inherit it.
            net::sockopt::set_tcp_nodelay(&socket, true)?;
        }
        self.add(memory, ro_fd, socket, pattern)
    }

    /// `sock_bind`, V1 and V2.
    ///
    /// # Errors
    /// Those of an address (`Inval`, `Acces`, `NameTooLong`) and of bind(2).
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
    /// Those of listen(2).
    pub fn listen(&mut self, _: &mut Memory<'_>, fd: u32, backlog: u32) -> Result<(), Errno> {
        let socket = &self.at(fd)?.fd;
        kernel(|| net::listen(socket, backlog.cast_signed()))
    }

    /// `sock_accept` of two parameters: writes the number of the new, blocking socket to `ro_fd`.
    ///
    /// # Errors
    /// `Again` when the listener does not block and its backlog is empty; those of accept(2).
    pub fn accept_v1(&mut self, memory: &mut Memory<'_>, fd: u32, ro_fd: u32) -> Result<(), Errno> {
        self.accept_v2(memory, fd, 0, ro_fd)
    }

    /// `sock_accept` of three parameters, preview1's own: the new socket does not block if `fdflags` has 4.
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
        self.settle();
        let listener = &self.at(fd)?.fd;
        memory.place::<4>(ro_fd)?;
        let mut flags = SocketFlags::CLOEXEC;
        flags.set(SocketFlags::NONBLOCK, super::fdflags(fdflags)? & NONBLOCK != 0);
        let accepted = kernel(|| net::accept_with(listener, flags))?;
        self.add(memory, ro_fd, accepted, SendPattern::Whole)
    }

    /// `sock_connect`, V1 and V2.
    ///
    /// # Errors
    /// `Acces` if the policy refuses; `InProgress` when the socket does not block; those of an address and of connect(2).
    pub fn connect(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        address: u32,
        port: u32,
    ) -> Result<(), Errno> {
        self.settle();
        let socket = &self.at(fd)?.fd;
        match Address::read(memory, address, port)? {
            Address::Inet(address) => {
                self.may_reach(address)?;
                // Repeated after a signal, it waits for the same connection.
                kernel(|| net::connect(socket, &address))
            }
            Address::Unix(address) => kernel(|| net::connect(socket, &address)),
        }
    }

    /// `sock_shutdown`: 1 shuts down receiving, 2 sending, 3 both.
    ///
    /// # Errors
    /// `Inval` for other flags; those of shutdown(2).
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

    /// `sock_getlocaladdr` of four parameters: writes the socket's address to `address`; 4, 6 or 3 (unix) to `addr_type`;
    /// the port in host order to `port`.
    ///
    /// # Errors
    /// `NoMem` when the buffer is too small; `Inval` for a size other than 4, 16 or 128 bytes.
    pub fn getlocaladdr_v1(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        address: u32,
        addr_type: u32,
        port: u32,
    ) -> Result<(), Errno> {
        let name = self.local(fd)?;
        put_v1(memory, name, address, addr_type, port)
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
        let name = self.local(fd)?;
        put_v2(memory, name, address, port).map(|_| ())
    }

    /// `sock_getpeeraddr` of four parameters: the peer's address, as [`getlocaladdr_v1`](Self::getlocaladdr_v1).
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
        let name = self.peer(fd)?;
        put_v1(memory, name, address, addr_type, port)
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
        let name = self.peer(fd)?;
        put_v2(memory, name, address, port).map(|_| ())
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

/// Writes an address and its port.
fn put_v2(
    memory: &mut Memory<'_>,
    name: Option<SocketAddrAny>,
    address: u32,
    port: u32,
) -> Result<Option<Address>, Errno> {
    memory.place::<4>(port)?;
    let (buffer, known) = (Buffer::at(memory, address)?, Address::known(name));
    buffer.fill(memory, known.as_ref())?;
    memory.put(port, known.as_ref().map_or(0, Address::port).to_le_bytes())?;
    Ok(known)
}

/// Writes an address, its port and its type.
fn put_v1(
    memory: &mut Memory<'_>,
    name: Option<SocketAddrAny>,
    address: u32,
    addr_type: u32,
    port: u32,
) -> Result<(), Errno> {
    memory.place::<4>(addr_type)?;
    let known = put_v2(memory, name, address, port)?;
    Ok(memory.put(addr_type, known.as_ref().map_or(0, Address::version).to_le_bytes())?)
}

#[cfg(test)]
mod tests;
