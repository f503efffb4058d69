//! Preview1's functions on descriptors, for sockets. The caller checks [`contains`](Sockets::contains) first, and calls
//! preview1 for any other descriptor.

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{RecvFlags, SocketType, sockopt::socket_type};

use super::data::Iovs;
use super::errno::kernel;
use super::{Errno, NONBLOCK, Sockets};
use crate::Memory;

// Preview1's types of files.
const SOCKET_DGRAM: u8 = 5;
const SOCKET_STREAM: u8 = 6;
/// The prestat tag of a preopen that is no directory. Preview1 only defines 0, for directories.
const NO_DIRECTORY: u32 = 1;
/// All rights of a socket: read, set flags, write, get its type, be polled, be shut down, accept.
const RIGHTS: u64 = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 21 | 1 << 27 | 1 << 28 | 1 << 29;

impl Sockets {
    /// `fd_close`. Errors of close(2) are ignored, since the descriptor is closed anyway.
    ///
    /// # Errors
    /// `BadF`.
    pub fn fd_close(&mut self, fd: u32) -> Result<(), Errno> {
        self.take(fd).map(drop)
    }

    /// `fd_read`: receives.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn fd_read(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        nread: u32,
    ) -> Result<(), Errno> {
        self.take_in(memory, fd, &Iovs(iovs, iovs_len), RecvFlags::empty(), nread).map(|_| ())
    }

    /// `fd_write`: sends.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn fd_write(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        nwritten: u32,
    ) -> Result<(), Errno> {
        self.transmit(memory, fd, &Iovs(iovs, iovs_len), None, nwritten)
    }

    /// `fd_fdstat_get`: 24 bytes of type, flags (4 when it does not block) and rights.
    ///
    /// # Errors
    /// `BadF`, `AddrNotAvail`, `Fault`.
    pub fn fd_fdstat_get(&mut self, memory: &mut Memory<'_>, fd: u32, stat: u32) -> Result<(), Errno> {
        let socket = &self.at(fd)?.fd;
        memory.place::<8>(stat)?;
        let blocks = !kernel(|| fcntl_getfl(socket))?.contains(OFlags::NONBLOCK);
        let mut bytes = [0; 24];
        bytes[0] = self.file_type(fd)?;
        bytes[2] = if blocks { 0 } else { NONBLOCK as u8 };
        bytes[8..16].copy_from_slice(&RIGHTS.to_le_bytes());
        bytes[16..].copy_from_slice(&RIGHTS.to_le_bytes());
        memory.bytes_mut(stat, 24)?.copy_from_slice(&bytes);
        Ok(())
    }

    /// `fd_fdstat_set_flags`: 4 makes the socket non-blocking. The other flags are for files, and ignored.
    ///
    /// # Errors
    /// `Inval` for flags that preview1 does not have, `BadF`.
    pub fn fd_fdstat_set_flags(&mut self, fd: u32, fdflags: u32) -> Result<(), Errno> {
        let socket = &self.at(fd)?.fd;
        let nonblocking = super::fdflags(fdflags)? & NONBLOCK != 0;
        let mut flags = kernel(|| fcntl_getfl(socket))?;
        flags.set(OFlags::NONBLOCK, nonblocking);
        kernel(|| fcntl_setfl(socket, flags))
    }

    /// `fd_filestat_get`: 64 bytes, zeros except the type.
    ///
    /// # Errors
    /// `BadF`, `AddrNotAvail`, `Fault`.
    pub fn fd_filestat_get(&mut self, memory: &mut Memory<'_>, fd: u32, stat: u32) -> Result<(), Errno> {
        let mut bytes = [0; 64];
        bytes[16] = self.file_type(fd)?;
        memory.place::<8>(stat)?;
        memory.bytes_mut(stat, 64)?.copy_from_slice(&bytes);
        Ok(())
    }

    /// `fd_prestat_get`: reports an inserted listener as no directory, so that a guest that enumerates its preopens
    /// continues after it. Preview1 must never be called for its path.
    ///
    /// # Errors
    /// `BadF` for a socket that the guest opened, `AddrNotAvail`, `Fault`.
    pub fn fd_prestat_get(&mut self, memory: &mut Memory<'_>, fd: u32, prestat: u32) -> Result<(), Errno> {
        if !self.at(fd)?.preopened {
            return Err(Errno::BadF);
        }
        memory.place::<4>(prestat)?;
        memory.bytes_mut(prestat, 8)?.fill(0);
        Ok(memory.put(prestat, NO_DIRECTORY.to_le_bytes())?)
    }

    /// `fd_renumber`: the socket `from` becomes `to`; what was `to` is closed.
    ///
    /// If `to` is a file of preview1's, the caller closes it there and then passes `freed`. Preview1 could give the
    /// number to another file, which would be unreachable behind the socket; a caller that cannot keep the number taken
    /// there refuses instead. The caller handles a file `from` over a socket `to` itself: it closes the socket and
    /// calls preview1.
    ///
    /// # Errors
    /// `BadF` when `from` is no socket, or `to` is neither a socket nor `freed`: then nothing has changed.
    pub fn fd_renumber(&mut self, from: u32, to: u32, freed: bool) -> Result<(), Errno> {
        self.at(from)?;
        if !freed && !self.contains(to) {
            return Err(Errno::BadF);
        }
        if from != to {
            let socket = self.take(from)?;
            self.put(to, socket);
        }
        Ok(())
    }

    fn file_type(&self, fd: u32) -> Result<u8, Errno> {
        let socket = &self.at(fd)?.fd;
        let datagrams = kernel(|| socket_type(socket))? == SocketType::DGRAM;
        Ok(if datagrams { SOCKET_DGRAM } else { SOCKET_STREAM })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::guest::{DATA, DGRAM, INET4, STREAM, TestGuest};
    use std::net::TcpListener;

    fn stat(guest: &mut TestGuest, fd: u32) -> Vec<u8> {
        guest.call(|sockets, memory| sockets.fd_fdstat_get(memory, fd, DATA)).unwrap();
        guest.bytes[DATA as usize..][..24].to_vec()
    }

    #[test]
    fn type_flags_and_rights_are_reported() {
        let mut guest = TestGuest::new();
        for (kind, expected) in [(DGRAM, SOCKET_DGRAM), (STREAM, SOCKET_STREAM)] {
            let fd = guest.open(INET4, kind);
            assert_eq!(stat(&mut guest, fd)[..4], [expected, 0, 0, 0]);
            guest.nonblocking(fd);
            assert_eq!(stat(&mut guest, fd)[..4], [expected, 0, 4, 0]);
            assert_eq!(stat(&mut guest, fd)[8..16], RIGHTS.to_le_bytes());
            guest.sockets.fd_fdstat_set_flags(fd, 1).unwrap();
            assert_eq!(stat(&mut guest, fd)[..4], [expected, 0, 0, 0]);
            assert_eq!(guest.sockets.fd_fdstat_set_flags(fd, 32), Err(Errno::Inval));
            guest.call(|sockets, memory| sockets.fd_filestat_get(memory, fd, DATA)).unwrap();
            let bytes: Vec<u8> = (0..64).map(|at| if at == 16 { expected } else { 0 }).collect();
            assert_eq!(guest.bytes[DATA as usize..][..64], bytes);
        }
    }

    #[test]
    fn a_preopened_listener_is_no_directory() {
        let mut guest = TestGuest::new();
        guest.sockets.insert_listener(3, TcpListener::bind("127.0.0.1:0").unwrap().into());
        let fd = guest.open(INET4, STREAM);
        let prestat = |fd| {
            move |sockets: &mut Sockets, memory: &mut Memory<'_>| sockets.fd_prestat_get(memory, fd, DATA)
        };
        guest.call(prestat(3)).unwrap();
        assert_ne!(guest.bytes[DATA as usize], 0);
        assert_eq!(guest.call(prestat(fd)), Err(Errno::BadF));
        assert_eq!(guest.call(prestat(4)), Err(Errno::BadF));
    }

    #[test]
    fn a_renumbered_socket_closes_its_predecessor() {
        let mut guest = TestGuest::new();
        let (one, other) = guest.pair();
        let third = guest.open(INET4, STREAM);
        assert_eq!(guest.sockets.fd_renumber(5, one, true), Err(Errno::BadF));
        assert_eq!(guest.sockets.fd_renumber(one, 5, false), Err(Errno::BadF));
        assert_eq!(guest.sockets.fd_renumber(one, one, false), Ok(()));
        guest.send(one, b"x").unwrap();
        guest.sockets.fd_renumber(other, third, false).unwrap();
        assert!(!guest.sockets.contains(other));
        assert_eq!(guest.recv(third, 1, 0), Ok((b"x".to_vec(), false)));
        guest.sockets.fd_renumber(third, one, false).unwrap();
        assert_eq!(guest.recv(one, 1, 0), Ok((vec![], false)), "the other side has closed");
        guest.sockets.fd_renumber(one, 5, true).unwrap();
        assert!(guest.sockets.contains(5) && !guest.sockets.contains(one));
    }
}
