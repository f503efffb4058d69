//! A guest's memory: checks every address and length that a guest passes.

use std::io::{IoSlice, IoSliceMut};
use std::mem;
use std::ops::Range;

use thiserror::Error;

/// The maximum number of buffers per call, as in WasmEdge and Linux.
const MAX_PARTS: u32 = 1024;
/// The size of an iovec: the buffer's address and length.
const IOVEC: u32 = 8;

/// Why an access to the guest's memory is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MemoryError {
    /// It is outside of the memory.
    #[error("an address is outside of the guest's memory")]
    Outside,
    /// A number's address is no multiple of its size.
    #[error("an address is not a multiple of its number's size")]
    Unaligned,
    /// More buffers than one call may name.
    #[error("a call names more than {MAX_PARTS} buffers")]
    TooMany,
    /// Two buffers to be written overlap: the result would be ambiguous.
    #[error("two buffers overlap")]
    Overlapping,
}

/// The linear memory of a guest. Addresses and lengths are in bytes, numbers little-endian.
#[derive(Debug)]
pub struct Memory<'a>(&'a mut [u8]);

impl<'a> Memory<'a> {
    /// All of a guest's memory.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes from `at`.
    ///
    /// # Errors
    /// `Outside`.
    pub fn bytes(&self, at: u32, length: u32) -> Result<&[u8], MemoryError> {
        Ok(&self.0[self.range(at, length)?])
    }

    /// The bytes from `at`, to be written.
    ///
    /// # Errors
    /// `Outside`.
    pub fn bytes_mut(&mut self, at: u32, length: u32) -> Result<&mut [u8], MemoryError> {
        let range = self.range(at, length)?;
        Ok(&mut self.0[range])
    }

    /// Checks that a number of `N` bytes can be written at `at`; for use before the call that produces it.
    ///
    /// # Errors
    /// `Unaligned`, `Outside`.
    pub fn place<const N: usize>(&self, at: u32) -> Result<(), MemoryError> {
        self.number::<N>(at).map(|_| ())
    }

    /// A number of 16 bits.
    ///
    /// # Errors
    /// `Unaligned`, `Outside`.
    pub fn u16(&self, at: u32) -> Result<u16, MemoryError> {
        self.number(at).map(u16::from_le_bytes)
    }

    /// A number of 32 bits.
    ///
    /// # Errors
    /// `Unaligned`, `Outside`.
    pub fn u32(&self, at: u32) -> Result<u32, MemoryError> {
        self.number(at).map(u32::from_le_bytes)
    }

    /// Writes the bytes of a number.
    ///
    /// # Errors
    /// `Unaligned`, `Outside`.
    pub fn put<const N: usize>(&mut self, at: u32, number: [u8; N]) -> Result<(), MemoryError> {
        self.place::<N>(at)?;
        self.bytes_mut(at, N as u32)?.copy_from_slice(&number);
        Ok(())
    }

    /// The buffers of the `count` iovecs at `at`.
    ///
    /// # Errors
    /// `TooMany` when they are more than 1024, `Unaligned`, `Outside`.
    pub(crate) fn parts(&self, at: u32, count: u32) -> Result<Vec<Range<usize>>, MemoryError> {
        if count > MAX_PARTS {
            return Err(MemoryError::TooMany);
        }
        self.range(at, count * IOVEC)?;
        let part = |nth| {
            let iovec = at + nth * IOVEC;
            self.range(self.u32(iovec)?, self.u32(iovec + 4)?)
        };
        (0..count).map(part).collect()
    }

    /// Buffers of [`parts`](Self::parts), to be read by the kernel.
    pub(crate) fn gather(&self, parts: &[Range<usize>]) -> Vec<IoSlice<'_>> {
        parts.iter().map(|part| IoSlice::new(&self.0[part.clone()])).collect()
    }

    /// Buffers of [`parts`](Self::parts), to be written by the kernel.
    ///
    /// # Errors
    /// `Overlapping`.
    pub(crate) fn scatter(&mut self, parts: &[Range<usize>]) -> Result<Vec<IoSliceMut<'_>>, MemoryError> {
        let mut order: Vec<usize> = (0..parts.len()).collect();
        // Empty buffers sort before others with the same start.
        order.sort_unstable_by_key(|nth| (parts[*nth].start, parts[*nth].end));
        let mut found: Vec<_> = parts.iter().map(|_| IoSliceMut::new(&mut [])).collect();
        let (mut rest, mut at) = (&mut *self.0, 0);
        for nth in order {
            let part = &parts[nth];
            if part.is_empty() {
                continue;
            }
            let before = part.start.checked_sub(at).ok_or(MemoryError::Overlapping)?;
            let (_, after) = mem::take(&mut rest).split_at_mut(before);
            let (own, after) = after.split_at_mut(part.len());
            found[nth] = IoSliceMut::new(own);
            (rest, at) = (after, part.end);
        }
        Ok(found)
    }

    /// The text from `at` up to its zero byte, exclusive.
    ///
    /// # Errors
    /// `Outside` if the memory ends before a zero byte.
    pub fn terminated(&self, at: u32) -> Result<&[u8], MemoryError> {
        let rest = self.0.get(at as usize..).ok_or(MemoryError::Outside)?;
        let length = rest.iter().position(|byte| *byte == 0).ok_or(MemoryError::Outside)?;
        Ok(&rest[..length])
    }

    fn number<const N: usize>(&self, at: u32) -> Result<[u8; N], MemoryError> {
        if !at.is_multiple_of(N as u32) {
            return Err(MemoryError::Unaligned);
        }
        self.bytes(at, N as u32)?.try_into().map_err(|_| MemoryError::Outside)
    }

    fn range(&self, at: u32, length: u32) -> Result<Range<usize>, MemoryError> {
        let (start, length) = (at as usize, length as usize);
        let end = start.checked_add(length).filter(|end| *end <= self.0.len()).ok_or(MemoryError::Outside)?;
        Ok(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_outside_are_refused() {
        let mut bytes = [0; 16];
        let mut memory = Memory::new(&mut bytes);
        assert_eq!(memory.bytes(16, 0), Ok(&[][..]));
        for (at, length) in [(17, 0), (16, 1), (0, 17), (u32::MAX, u32::MAX), (1, u32::MAX)] {
            assert_eq!(memory.bytes(at, length), Err(MemoryError::Outside), "{at} {length}");
        }
        assert_eq!(memory.u32(2), Err(MemoryError::Unaligned));
        assert_eq!(memory.u32(16), Err(MemoryError::Outside));
        assert_eq!(memory.put(14, [1, 2]), Ok(()));
        assert_eq!(memory.u16(14), Ok(0x201));
        assert_eq!(memory.terminated(13), Ok(&[0_u8; 0][..]));
        assert_eq!(memory.terminated(14), Err(MemoryError::Outside), "no zero byte behind it");
        assert_eq!(memory.terminated(17), Err(MemoryError::Outside));
        assert_eq!(memory.parts(0, 1025), Err(MemoryError::TooMany));
        assert_eq!(memory.parts(2, 1), Err(MemoryError::Unaligned));
        assert_eq!(memory.parts(16, 1), Err(MemoryError::Outside));
    }

    #[test]
    fn buffers_keep_their_order_and_do_not_overlap() {
        let check = |parts: &[Range<usize>], expected: Result<&[u8], MemoryError>| {
            let mut bytes: Vec<u8> = (0..10).collect();
            let mut memory = Memory::new(&mut bytes);
            let found = memory
                .scatter(parts)
                .map(|found| found.iter().flat_map(|part| part.to_vec()).collect::<Vec<_>>());
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{parts:?}");
        };
        check(&[4..6, 0..2, 3..3, 9..10], Ok(&[4, 5, 0, 1, 9]));
        check(&[0..4, 2..2, 4..6], Ok(&[0, 1, 2, 3, 4, 5]));
        check(&[0..4, 3..5], Err(MemoryError::Overlapping));
        check(&[0..4, 0..4], Err(MemoryError::Overlapping));
    }
}
