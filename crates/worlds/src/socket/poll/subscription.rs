//! Subscriptions and events as preview1 lays them out.

use super::super::Errno;
use crate::Memory;

/// What a guest waits for, with a number of its own that comes back with the event.
pub(super) struct Subscription {
    userdata: u64,
    pub(super) wish: Wish,
}

/// What it waits for.
pub(super) enum Wish {
    /// A time of a clock, or a time from now, in nanoseconds.
    Clock { id: u32, timeout: u64, absolute: bool },
    /// That something can be read, or written.
    File { fd: u32, write: bool },
}

/// What a guest is told.
pub(super) struct Event {
    userdata: u64,
    error: Errno,
    kind: u8,
    nbytes: u64,
    hangup: bool,
}

impl Subscription {
    /// Bytes of one.
    const SIZE: u32 = 48;

    /// All subscriptions at `at`, copied: the events may be written over them.
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
        // The clock's number and the descriptor are at the same place.
        let id = long(16) as u32;
        let wish = match bytes[8] {
            0 => Wish::Clock { id, timeout: long(24), absolute: bytes[40] & 1 != 0 },
            1 => Wish::File { fd: id, write: false },
            2 => Wish::File { fd: id, write: true },
            _ => return Err(Errno::Inval),
        };
        Ok(Self { userdata: long(0), wish })
    }

    /// Its event.
    pub(super) fn event(&self) -> Event {
        let (kind, nbytes) = match self.wish {
            Wish::Clock { .. } => (0, 0),
            Wish::File { write: false, .. } => (1, 1),
            Wish::File { write: true, .. } => (2, 1),
        };
        Event { userdata: self.userdata, error: Errno::Success, kind, nbytes, hangup: false }
    }

    /// That it cannot have one.
    pub(super) fn failed(&self, error: Errno) -> Event {
        Event { error, nbytes: 0, ..self.event() }
    }

    /// Its event, with how many bytes there are to be read, and whether the other side has gone.
    pub(super) fn of_file(&self, nbytes: u64, hangup: bool) -> Event {
        Event { nbytes, hangup, ..self.event() }
    }
}

impl Event {
    /// Bytes of one.
    pub(super) const SIZE: u32 = 32;

    /// That as many events can be written.
    pub(super) fn have_room(memory: &Memory<'_>, at: u32, count: u32) -> Result<(), Errno> {
        array(memory, at, count, Self::SIZE).map(|_| ())
    }

    /// Writes it.
    pub(super) fn put(&self, memory: &mut Memory<'_>, at: u32) -> Result<(), Errno> {
        let mut told = [0; Self::SIZE as usize];
        told[..8].copy_from_slice(&self.userdata.to_le_bytes());
        told[8..10].copy_from_slice(&self.error.number().to_le_bytes());
        told[10] = self.kind;
        told[16..24].copy_from_slice(&self.nbytes.to_le_bytes());
        told[24] = self.hangup.into();
        memory.bytes_mut(at, Self::SIZE)?.copy_from_slice(&told);
        Ok(())
    }
}

/// An array of structures that begin with 64 bits.
fn array<'m>(memory: &'m Memory<'_>, at: u32, count: u32, size: u32) -> Result<&'m [u8], Errno> {
    if !at.is_multiple_of(8) {
        return Err(Errno::AddrNotAvail);
    }
    Ok(memory.bytes(at, count.checked_mul(size).ok_or(Errno::Fault)?)?)
}
