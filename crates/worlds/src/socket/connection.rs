//! A socket's life: opened, bound, listening, connected, shut down; and what it is called.

use rustix::net::{
    self, AddressFamily, Shutdown, SocketAddrAny, SocketFlags, SocketType, getpeername, getsockname,
};

use super::address::{self, Address, Buffer};
use super::errno::kernel;
use super::segments::Habit;
use super::{DGRAM, Errno, NONBLOCK, STREAM, Sockets};
use crate::Memory;

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
        let habit = if kind == SocketType::STREAM { Habit::Whole } else { Habit::Datagrams };
        if kind == SocketType::STREAM && family != AddressFamily::UNIX {
            // The ABI has no name for it, and guests write heads and bodies apart: each body would wait for the
            // peer's delayed acknowledgement, 40 ms. What a listener accepts inherits it.
            net::sockopt::set_tcp_nodelay(&socket, true)?;
        }
        self.tell(memory, ro_fd, socket, habit)
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
        self.settle();
        let listener = &self.at(fd)?.fd;
        memory.place::<4>(ro_fd)?;
        let mut flags = SocketFlags::CLOEXEC;
        flags.set(SocketFlags::NONBLOCK, super::fdflags(fdflags)? & NONBLOCK != 0);
        let accepted = kernel(|| net::accept_with(listener, flags))?;
        self.tell(memory, ro_fd, accepted, Habit::Whole)
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
        self.settle();
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
    Ok(memory.put(addr_type, known.as_ref().map_or(0, Address::version).to_le_bytes())?)
}

#[cfg(test)]
mod tests;
