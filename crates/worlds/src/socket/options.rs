//! Socket options: maps the ABI's numbers to the kernel's; the values are the kernel's bytes.

use std::os::fd::AsFd;

use rustix::io::Errno as Kernel;

use super::errno::kernel;
use super::{DGRAM, Errno, STREAM, Sockets};
use crate::Memory;
use crate::raw;

/// The longest value: a timeval.
const LONGEST: usize = 16;
/// In the ABI, but refused: a guest may not choose its network device.
const BIND_TO_DEVICE: u32 = 14;

/// The kernel's number of an option, and the size of its value: an integer, a linger or a timeval.
fn option(level: u32, name: u32) -> Result<(i32, usize), Errno> {
    /// Indexed by the ABI's number.
    const NAMES: [(i32, usize); BIND_TO_DEVICE as usize] = [
        (libc::SO_REUSEADDR, 4),
        (libc::SO_TYPE, 4),
        (libc::SO_ERROR, 4),
        (libc::SO_DONTROUTE, 4),
        (libc::SO_BROADCAST, 4),
        (libc::SO_SNDBUF, 4),
        (libc::SO_RCVBUF, 4),
        (libc::SO_KEEPALIVE, 4),
        (libc::SO_OOBINLINE, 4),
        (libc::SO_LINGER, 8),
        (libc::SO_RCVLOWAT, 4),
        (libc::SO_RCVTIMEO, LONGEST),
        (libc::SO_SNDTIMEO, LONGEST),
        (libc::SO_ACCEPTCONN, 4),
    ];
    match (level, name) {
        (0, BIND_TO_DEVICE) => Err(Errno::NotSup),
        (0, name) => NAMES.get(name as usize).copied().ok_or(Errno::Inval),
        _ => Err(Errno::Inval),
    }
}

impl Sockets {
    /// `sock_getsockopt`: writes an option's value to `flag`, truncated to the number of bytes at `flag_size`, and the
    /// number of bytes written to `flag_size`. Types (1 datagrams, 2 stream) and errors are in the ABI's numbers.
    ///
    /// # Errors
    /// `Inval` for a level other than 0 and an unknown name; `NotSup` for BINDTODEVICE; those of getsockopt(2).
    pub fn getsockopt(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        level: u32,
        name: u32,
        flag: u32,
        flag_size: u32,
    ) -> Result<(), Errno> {
        let socket = self.at(fd)?.fd.as_fd();
        let (name, length) = option(level, name)?;
        let room = memory.u32(flag_size)?.min(length as u32);
        memory.bytes(flag, room)?;
        let mut value = [0; LONGEST];
        let length = kernel(|| raw::get(socket, name, &mut value[..length]))?;
        if let Some((number, _)) = value.split_first_chunk_mut::<4>().filter(|_| length == 4) {
            *number = translated(name, i32::from_ne_bytes(*number)).to_ne_bytes();
        }
        let written = room.min(length as u32);
        memory.bytes_mut(flag, written)?.copy_from_slice(&value[..written as usize]);
        Ok(memory.put(flag_size, written.to_le_bytes())?)
    }

    /// `sock_setsockopt`: 4 bytes of an integer, 8 of a linger or 16 of a timeval; more are ignored.
    ///
    /// # Errors
    /// `Inval` for fewer, and those of [`getsockopt`](Self::getsockopt).
    pub fn setsockopt(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        level: u32,
        name: u32,
        flag: u32,
        flag_size: u32,
    ) -> Result<(), Errno> {
        let socket = self.at(fd)?.fd.as_fd();
        let (name, length) = option(level, name)?;
        let value = memory.bytes(flag, flag_size)?.get(..length).ok_or(Errno::Inval)?;
        kernel(|| raw::set(socket, name, value))
    }
}

/// Maps the kernel's numbers for a type or an error to the guest's.
fn translated(name: i32, value: i32) -> i32 {
    match (name, value) {
        (libc::SO_TYPE, libc::SOCK_DGRAM) => DGRAM.cast_signed(),
        (libc::SO_TYPE, libc::SOCK_STREAM) => STREAM.cast_signed(),
        (libc::SO_ERROR, 1..4096) => Errno::from(Kernel::from_raw_os_error(value)).number().into(),
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::guest::{DATA, INET4, OUT, TestGuest};
    use std::net::Ipv4Addr;

    /// The value of an option, into `room` bytes.
    fn get(guest: &mut TestGuest, fd: u32, name: u32, room: u32) -> Result<Vec<u8>, Errno> {
        guest.put(OUT, &room.to_le_bytes());
        guest.bytes[DATA as usize..][..32].fill(0xaa);
        guest.call(|sockets, memory| sockets.getsockopt(memory, fd, 0, name, DATA, OUT))?;
        let length = guest.u32(OUT) as usize;
        assert!(guest.bytes[DATA as usize + length..][..8].iter().all(|byte| *byte == 0xaa));
        Ok(guest.bytes[DATA as usize..][..length].to_vec())
    }

    fn set(guest: &mut TestGuest, fd: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
        guest.put(DATA, value);
        let length = value.len() as u32;
        guest.call(|sockets, memory| sockets.setsockopt(memory, fd, 0, name, DATA, length))
    }

    #[test]
    fn options_are_set_and_read_back() {
        let mut guest = TestGuest::new();
        let fd = guest.open(INET4, STREAM);
        let (one, linger) = (1_u32.to_le_bytes(), [[1, 0, 0, 0], [9, 0, 0, 0]].concat());
        let timeval = [2_u64.to_le_bytes(), 500_000_u64.to_le_bytes()].concat();
        for (name, value) in [
            (0, &one[..]),
            (3, &one),
            (4, &one),
            (7, &one),
            (8, &one),
            (9, &linger),
            (10, &one),
            (11, &timeval),
            (12, &timeval),
        ] {
            set(&mut guest, fd, name, value).unwrap();
            assert_eq!(get(&mut guest, fd, name, 32).unwrap(), value, "{name}");
            assert_eq!(set(&mut guest, fd, name, &value[1..]), Err(Errno::Inval), "{name}");
        }
        set(&mut guest, fd, 5, &8192_u32.to_le_bytes()).unwrap();
        let doubled = 16384_u32.to_le_bytes();
        assert_eq!(get(&mut guest, fd, 5, 4).unwrap(), doubled, "the kernel doubles it");
        assert_eq!(get(&mut guest, fd, 5, 2).unwrap(), doubled[..2], "as much as there is room for");
    }

    #[test]
    fn types_and_errors_are_in_the_guests_numbers() {
        let mut guest = TestGuest::new();
        for kind in [STREAM, DGRAM] {
            let fd = guest.open(INET4, kind);
            assert_eq!(get(&mut guest, fd, 1, 4).unwrap(), kind.to_le_bytes());
            assert_eq!(get(&mut guest, fd, 2, 4).unwrap(), [0; 4]);
            assert_eq!(get(&mut guest, fd, 13, 4).unwrap(), [0; 4]);
        }
        // Bound, so that no other socket listens there.
        let (_bound, closed) = guest.bound(Ipv4Addr::LOCALHOST, STREAM);
        let fd = guest.open(INET4, STREAM);
        guest.nonblocking(fd);
        assert_eq!(guest.connect(fd, closed), Err(Errno::InProgress));
        let refused = u32::from(Errno::ConnRefused.number()).to_le_bytes();
        assert_eq!(get(&mut guest, fd, 2, 4).unwrap(), refused);
        assert_eq!(get(&mut guest, fd, 2, 4).unwrap(), [0; 4], "reported once");
    }

    #[test]
    fn unknown_options_are_refused() {
        let mut guest = TestGuest::new();
        let fd = guest.open(INET4, STREAM);
        assert_eq!(get(&mut guest, fd, BIND_TO_DEVICE, 16), Err(Errno::NotSup));
        assert_eq!(set(&mut guest, fd, BIND_TO_DEVICE, b"lo\0\0"), Err(Errno::NotSup));
        assert_eq!(get(&mut guest, fd, 15, 4), Err(Errno::Inval));
        assert_eq!(set(&mut guest, fd, 1, &[1, 0, 0, 0]), Err(Errno::NoProtoOpt), "the type cannot be set");
        let level =
            |sockets: &mut Sockets, memory: &mut Memory<'_>| sockets.setsockopt(memory, fd, 1, 0, DATA, 4);
        assert_eq!(guest.call(level), Err(Errno::Inval));
    }
}
