//! Subscriptions and events in preview1's layout.

use super::super::Errno;
use crate::Memory;

/// What a guest polls for, and its number for the event.
pub(super) struct Subscription {
    userdata: u64,
    pub(super) interest: Interest,
}

/// What a guest polls for.
pub(super) enum Interest {
    /// A time of a clock, or a time from now, in nanoseconds.
    Clock { id: u32, timeout: u64, absolute: bool },
    /// A descriptor, to be read or written.
    File { fd: u32, write: bool },
}

/// An event.
pub(super) struct Event {
    userdata: u64,
    error: Errno,
    kind: u8,
    nbytes: u64,
    hangup: bool,
}

impl Subscription {
    /// Its size in bytes.
    const SIZE: u32 = 48;

    /// Copies all subscriptions at `at`: the events may overwrite them.
    pub(super) fn all(memory: &Memory<'_>, at: u32, count: u32) -> Result<Vec<Self>, Errno> {
        if count == 0 {
            return Err(Errno::Inval);
        }
        let bytes = array(memory, at, count, Self::SIZE)?;
        let (each, _) = bytes.as_chunks();
        each.iter().map(Self::read).collect()
    }

    fn read(bytes: &[u8; Self::SIZE as usize]) -> Result<Self, Errno> {
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|nth| bytes[at + nth]));
        // The clock's number and the descriptor share an offset.
        let id = long(16) as u32;
        let interest = match bytes[8] {
            0 => Interest::Clock { id, timeout: long(24), absolute: bytes[40] & 1 != 0 },
            1 => Interest::File { fd: id, write: false },
            2 => Interest::File { fd: id, write: true },
            _ => return Err(Errno::Inval),
        };
        Ok(Self { userdata: long(0), interest })
    }

    /// Its event, with default values.
    pub(super) fn event(&self) -> Event {
        let (kind, nbytes) = match self.interest {
            Interest::Clock { .. } => (0, 0),
            Interest::File { write: false, .. } => (1, 1),
            Interest::File { write: true, .. } => (2, 1),
        };
        Event { userdata: self.userdata, error: Errno::Success, kind, nbytes, hangup: false }
    }

    /// Its event, with an error.
    pub(super) fn failed(&self, error: Errno) -> Event {
        Event { error, nbytes: 0, ..self.event() }
    }

    /// Its event, with the number of bytes to be read, and whether the peer has hung up.
    pub(super) fn of_file(&self, nbytes: u64, hangup: bool) -> Event {
        Event { nbytes, hangup, ..self.event() }
    }
}

impl Event {
    /// Its size in bytes.
    pub(super) const SIZE: u32 = 32;

    /// Checks that `count` events can be written at `at`.
    pub(super) fn have_room(memory: &Memory<'_>, at: u32, count: u32) -> Result<(), Errno> {
        array(memory, at, count, Self::SIZE).map(|_| ())
    }

    pub(super) fn put(&self, memory: &mut Memory<'_>, at: u32) -> Result<(), Errno> {
        let mut bytes = [0; Self::SIZE as usize];
        bytes[..8].copy_from_slice(&self.userdata.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.error.number().to_le_bytes());
        bytes[10] = self.kind;
        bytes[16..24].copy_from_slice(&self.nbytes.to_le_bytes());
        bytes[24] = self.hangup.into();
        memory.bytes_mut(at, Self::SIZE)?.copy_from_slice(&bytes);
        Ok(())
    }
}

/// An array of structures with an alignment of 8 bytes.
fn array<'m>(memory: &'m Memory<'_>, at: u32, count: u32, size: u32) -> Result<&'m [u8], Errno> {
    if !at.is_multiple_of(8) {
        return Err(Errno::AddrNotAvail);
    }
    Ok(memory.bytes(at, count.checked_mul(size).ok_or(Errno::Fault)?)?)
}
