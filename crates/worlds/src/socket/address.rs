//! Addresses in a guest's memory: octets, or WasmEdge's storage of 128 bytes that begins with a family.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use super::Errno;
use crate::Memory;

/// The size of the storage: a family of 16 bits, and its address.
const STORAGE: u32 = 128;
/// The end of a path in it.
const PATH_END: usize = 110;
/// The longest unix address whose path rustix can read.
const MAX_UNIX: u32 = 110;

// The numbers of the families.
pub(super) const INET4: u32 = 1;
pub(super) const INET6: u32 = 2;
pub(super) const UNIX: u32 = 3;

/// A socket's local or peer address.
pub(super) enum Address {
    Inet(SocketAddr),
    /// A path, or nothing.
    Unix(SocketAddrUnix),
}

impl Address {
    /// Reads the address in the buffer that `at` names; `port` is ignored for a path.
    ///
    /// # Errors
    /// `Inval` for a buffer of another size than 4, 16 or 128 bytes, an unknown family, an invalid port or an empty path;
    /// `Acces` for an abstract name; `NameTooLong`, `AddrNotAvail`, `Fault`.
    pub(super) fn read(memory: &Memory<'_>, at: u32, port: u32) -> Result<Self, Errno> {
        let buffer = Buffer::at(memory, at)?;
        let bytes = memory.bytes(buffer.at, buffer.length)?;
        let (family, bytes) = match buffer.length {
            STORAGE => (u32::from(u16::from_le_bytes([bytes[0], bytes[1]])), &bytes[2..]),
            4 => (INET4, bytes),
            _ => (INET6, bytes),
        };
        let port = || u16::try_from(port).map_err(|_| Errno::Inval);
        match family {
            INET4 => Ok(Self::Inet((Ipv4Addr::from(first(bytes)?), port()?).into())),
            INET6 => Ok(Self::Inet((Ipv6Addr::from(first(bytes)?), port()?).into())),
            UNIX => Ok(Self::Unix(path(&bytes[..PATH_END - 2])?)),
            _ => Err(Errno::Inval),
        }
    }

    /// An address from the kernel; `None` for none, and for a path that cannot be read.
    pub(super) fn known(address: Option<SocketAddrAny>) -> Option<Self> {
        let address = address?;
        match address.address_family() {
            AddressFamily::UNIX if address.addr_len() > MAX_UNIX => None,
            AddressFamily::UNIX => address.try_into().ok().map(Self::Unix),
            _ => address.try_into().ok().map(Self::Inet),
        }
    }

    /// In host order; a path has none.
    pub(super) fn port(&self) -> u32 {
        match self {
            Self::Inet(address) => address.port().into(),
            Self::Unix(_) => 0,
        }
    }

    /// The family in V1 of the ABI: 4 or 6, unlike the family's numbers, or 3.
    pub(super) fn version(&self) -> u32 {
        match self {
            Self::Inet(SocketAddr::V4(_)) => 4,
            Self::Inet(SocketAddr::V6(_)) => 6,
            Self::Unix(_) => UNIX,
        }
    }
}

fn first<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Errno> {
    bytes.first_chunk().copied().ok_or(Errno::Inval)
}

/// A path up to its first zero. A leading zero would make it an abstract name, which belongs to the network namespace
/// and so escapes the container's root.
fn path(bytes: &[u8]) -> Result<SocketAddrUnix, Errno> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(Errno::NameTooLong)?;
    match (end, bytes.iter().all(|byte| *byte == 0)) {
        (0, true) => Err(Errno::Inval),
        (0, false) => Err(Errno::Acces),
        _ => Ok(SocketAddrUnix::new(&bytes[..end])?),
    }
}

/// The guest's buffer for an address: checked before the call is made.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    at: u32,
    length: u32,
}

impl Buffer {
    /// The buffer that the pair of address and length at `at` names.
    ///
    /// # Errors
    /// `Inval` for another size than 4, 16 or 128 bytes, `AddrNotAvail`, `Fault`.
    pub(super) fn at(memory: &Memory<'_>, at: u32) -> Result<Self, Errno> {
        let buffer =
            Self { at: memory.u32(at)?, length: memory.u32(at.checked_add(4).ok_or(Errno::Fault)?)? };
        memory.bytes(buffer.at, buffer.length)?;
        if matches!(buffer.length, 4 | 16 | STORAGE) { Ok(buffer) } else { Err(Errno::Inval) }
    }

    /// Writes an address. `None` fills a storage with zeros, and leaves octets unchanged.
    ///
    /// # Errors
    /// `NoMem` when it does not fit.
    pub(super) fn fill(self, memory: &mut Memory<'_>, address: Option<&Address>) -> Result<(), Errno> {
        let into = memory.bytes_mut(self.at, self.length)?;
        if self.length == STORAGE {
            into.fill(0);
        }
        let Some(address) = address else { return Ok(()) };
        let (family, octets) = match address {
            Address::Inet(SocketAddr::V4(four)) => (INET4, four.ip().octets().to_vec()),
            Address::Inet(SocketAddr::V6(six)) => (INET6, six.ip().octets().to_vec()),
            Address::Unix(unix) => (UNIX, unix.path_bytes().unwrap_or_default().to_vec()),
        };
        if self.length == STORAGE {
            into[0] = family as u8;
            into[2..2 + octets.len()].copy_from_slice(&octets);
            return Ok(());
        }
        let fits = family != UNIX && octets.len() <= into.len();
        into.get_mut(..octets.len()).filter(|_| fits).ok_or(Errno::NoMem)?.copy_from_slice(&octets);
        Ok(())
    }
}
