//! Addresses as a guest writes them: octets, or WasmEdge's storage of 128 bytes with a family in front.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use super::Errno;
use crate::Memory;

/// Bytes of the storage: a family of 16 bits, and what belongs to it.
const STORAGE: u32 = 128;
/// Where a path ends in it.
const PATH_END: usize = 110;
/// The longest that the kernel says an address with a path is, of which rustix can read the path.
const LONGEST_UNIX: u32 = 110;

/// The families' numbers.
pub(super) const INET4: u32 = 1;
pub(super) const INET6: u32 = 2;
pub(super) const UNIX: u32 = 3;

/// Whom a socket is bound to, or talks to.
pub(super) enum Address {
    Inet(SocketAddr),
    /// A path, or nothing.
    Unix(SocketAddrUnix),
}

impl Address {
    /// Reads one out of the buffer that `at` names; `port` is not used for a path.
    ///
    /// # Errors
    /// `Inval` for a buffer of another size than 4, 16 or 128 bytes, a family that is none, a port that is none or
    /// an empty path; `Acces` for a name that is no path; `NameTooLong`, `AddrNotAvail`, `Fault`.
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

    /// What the kernel says; `None` for nobody, and for a path that cannot be told.
    pub(super) fn known(told: Option<SocketAddrAny>) -> Option<Self> {
        let told = told?;
        match told.address_family() {
            AddressFamily::UNIX if told.addr_len() > LONGEST_UNIX => None,
            AddressFamily::UNIX => told.try_into().ok().map(Self::Unix),
            _ => told.try_into().ok().map(Self::Inet),
        }
    }

    /// In host order; a path has none.
    pub(super) fn port(&self) -> u32 {
        match self {
            Self::Inet(address) => address.port().into(),
            Self::Unix(_) => 0,
        }
    }

    /// What V1 of the ABI calls the family: 4 or 6, which are not the family's numbers, and 3.
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

/// A path that ends where the first zero is. What begins with one would be a name without a file, of which the
/// container's root does not keep the guest: it is the network namespace's.
fn path(bytes: &[u8]) -> Result<SocketAddrUnix, Errno> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(Errno::NameTooLong)?;
    match (end, bytes.iter().all(|byte| *byte == 0)) {
        (0, true) => Err(Errno::Inval),
        (0, false) => Err(Errno::Acces),
        _ => Ok(SocketAddrUnix::new(&bytes[..end])?),
    }
}

/// Where a guest wants an address to be written: checked before anything is done.
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

    /// Writes an address. Nobody's is no change, or a storage of zeroes.
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
