//! Options of a socket: a guest knows them by numbers of its own, their values are the kernel's bytes.

use std::os::fd::AsFd;

use rustix::io::Errno as Kernel;

use super::errno::kernel;
use super::{DGRAM, Errno, STREAM, Sockets};
use crate::Memory;
use crate::raw;

/// The longest value: a timeval.
const LONGEST: usize = 16;
/// The one that has its place in the table and is refused: which device serves is not the guest's to say.
const BIND_TO_DEVICE: u32 = 14;

/// The kernel's name of an option, and how many bytes its value has: a number, a linger or a timeval.
fn option(level: u32, name: u32) -> Result<(i32, usize), Errno> {
    /// In the order of their numbers.
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
    /// `sock_getsockopt`: writes an option's value to `flag`, as much as the `flag_size` bytes there have room for, and
    /// how much that was to `flag_size`. The type is the guest's (1 datagrams, 2 stream), and an error too.
    ///
    /// # Errors
    /// `Inval` for a level other than 0 and an unknown name; `NotSup` for BINDTODEVICE; what getsockopt(2) says.
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
        let told = room.min(length as u32);
        memory.bytes_mut(flag, told)?.copy_from_slice(&value[..told as usize]);
        Ok(memory.put(flag_size, told.to_le_bytes())?)
    }

    /// `sock_setsockopt`: 4 bytes of a number, 8 of a linger or 16 of a timeval; more are not looked at.
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

/// What the kernel says in numbers of its own, in the guest's.
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
    use crate::socket::guest::{DATA, Guest, INET4, OUT};
    use std::net::Ipv4Addr;

    /// The value of an option, into `room` bytes.
    fn get(guest: &mut Guest, fd: u32, name: u32, room: u32) -> Result<Vec<u8>, Errno> {
        guest.put(OUT, &room.to_le_bytes());
        guest.bytes[DATA as usize..][..32].fill(0xaa);
        guest.call(|sockets, memory| sockets.getsockopt(memory, fd, 0, name, DATA, OUT))?;
        let length = guest.u32(OUT) as usize;
        assert!(guest.bytes[DATA as usize + length..][..8].iter().all(|byte| *byte == 0xaa));
        Ok(guest.bytes[DATA as usize..][..length].to_vec())
    }

    fn set(guest: &mut Guest, fd: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
        guest.put(DATA, value);
        let length = value.len() as u32;
        guest.call(|sockets, memory| sockets.setsockopt(memory, fd, 0, name, DATA, length))
    }

    #[test]
    fn what_is_set_is_what_is_got() {
        let mut guest = Guest::new();
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
    fn numbers_of_the_kernel_are_told_in_the_guests() {
        let mut guest = Guest::new();
        for kind in [STREAM, DGRAM] {
            let fd = guest.open(INET4, kind);
            assert_eq!(get(&mut guest, fd, 1, 4).unwrap(), kind.to_le_bytes());
            assert_eq!(get(&mut guest, fd, 2, 4).unwrap(), [0; 4]);
            assert_eq!(get(&mut guest, fd, 13, 4).unwrap(), [0; 4]);
        }
        // Bound, so that nobody else listens there.
        let (_bound, closed) = guest.bound(Ipv4Addr::LOCALHOST, STREAM);
        let fd = guest.open(INET4, STREAM);
        guest.nonblocking(fd);
        assert_eq!(guest.connect(fd, closed), Err(Errno::InProgress));
        let refused = u32::from(Errno::ConnRefused.number()).to_le_bytes();
        assert_eq!(get(&mut guest, fd, 2, 4).unwrap(), refused);
        assert_eq!(get(&mut guest, fd, 2, 4).unwrap(), [0; 4], "told once");
    }

    #[test]
    fn what_is_none_is_refused() {
        let mut guest = Guest::new();
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
