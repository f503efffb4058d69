//! A bound on a guest's linear memory, all its memories together, and those of all its copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use engine::Bound;
use wasmtime::{ResourceLimiter, ResourcesRequired};

/// How much memory a guest may hold, and holds; shared by its copies.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

struct Shared {
    bound: Bound,
    /// The bound when it was last read.
    most: AtomicU64,
    held: AtomicU64,
}

/// What one copy of a guest holds of it, given back when the copy is gone.
pub struct MemoryBound {
    memory: Memory,
    held: u64,
}

impl Memory {
    /// Nothing held yet.
    pub fn new(bound: Bound) -> Self {
        let most = bound.most().into();
        Self(Arc::new(Shared { bound, most, held: AtomicU64::new(0) }))
    }

    /// For a copy that holds nothing yet.
    pub fn share(&self) -> MemoryBound {
        MemoryBound { memory: self.clone(), held: 0 }
    }

    /// Reads the bound once more, for copies yet to be made.
    pub fn refresh(&self) {
        self.0.most.store(self.0.bound.most(), Ordering::Relaxed);
    }

    /// Takes what a copy begins with: by the bound as it was last read, since a copy may be made for each request;
    /// but none is refused by what may have changed.
    fn begin(&self, more: u64) -> bool {
        self.take_within(self.0.most.load(Ordering::Relaxed), more) || self.take(more)
    }

    /// Takes more, by the bound of this moment.
    fn take(&self, more: u64) -> bool {
        self.refresh();
        self.take_within(self.0.most.load(Ordering::Relaxed), more)
    }

    fn take_within(&self, most: u64, more: u64) -> bool {
        let taken = |held: u64| held.checked_add(more).filter(|held| *held <= most);
        self.0.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

impl Drop for MemoryBound {
    fn drop(&mut self) {
        self.memory.0.held.fetch_sub(self.held, Ordering::Relaxed);
    }
}

impl Memory {
    /// Refuses, before it runs, a guest whose largest memory alone is too large from its start.
    ///
    /// # Errors
    /// Tells both sizes.
    pub fn admit(&self, needs: Option<&ResourcesRequired>) -> anyhow::Result<()> {
        const PAGE: u64 = 65_536;
        let bytes = needs.and_then(|needs| needs.max_initial_memory_size).unwrap_or(0).saturating_mul(PAGE);
        let most = self.0.bound.most();
        if bytes <= most {
            return Ok(());
        }
        bail!("its memory is {bytes} bytes from the start, and the container's limit leaves it {most}")
    }
}

impl ResourceLimiter for MemoryBound {
    /// Counts what is granted. A growth that fails later for want of memory stays counted: Wasmtime
    /// reports that failure in the same way as one that was never granted, and a guest could
    /// provoke those to be counted down.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let take = if current == 0 { Memory::begin } else { Memory::take };
        let grant = maximum.is_none_or(|maximum| desired <= maximum) && take(&self.memory, more);
        if grant {
            self.held += more;
        }
        Ok(grant)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn bound(most: Option<u64>) -> (MemoryBound, File) {
        let file = tempfile::tempfile().unwrap();
        Bound::write(&file, most).unwrap();
        (Memory::new(Bound::in_file(file.try_clone().unwrap())).share(), file)
    }

    #[test]
    fn all_memories_together_stay_below_the_bound() {
        let (mut bound, file) = bound(Some(100));
        let mut grow = |current, desired, maximum| bound.memory_growing(current, desired, maximum).unwrap();
        assert!(grow(0, 60, None), "a first memory");
        assert!(!grow(0, 50, None), "a second that is too much");
        assert!(grow(0, 40, None), "a second that fits");
        assert!(!grow(60, 61, None), "nothing is left");
        assert!(grow(60, 60, None), "growth by nothing");
        Bound::write(&file, Some(101)).unwrap();
        assert!(grow(60, 61, None), "the bound was raised");
        Bound::write(&file, Some(50)).unwrap();
        assert!(!grow(61, 62, None), "it was lowered below what is held");
    }

    #[test]
    fn a_refused_growth_is_not_counted() {
        let (mut bound, _) = bound(Some(100));
        assert!(!bound.memory_growing(0, 90, Some(80)).unwrap());
        assert!(bound.memory_growing(0, 80, Some(80)).unwrap());
    }

    #[test]
    fn copies_share_it_and_give_it_back() {
        let (mut first, _file) = bound(Some(100));
        let mut second = first.memory.share();
        assert!(first.memory_growing(0, 60, None).unwrap());
        assert!(!second.memory_growing(0, 60, None).unwrap());
        drop(first);
        assert!(second.memory_growing(0, 60, None).unwrap());
    }

    #[test]
    fn copies_begin_within_the_bound_that_was_last_read() {
        let (mut first, file) = bound(Some(100));
        Bound::write(&file, Some(10)).unwrap();
        assert!(first.memory_growing(0, 60, None).unwrap(), "not read again for a copy");
        assert!(!first.memory_growing(60, 61, None).unwrap(), "but for growth");
        let mut second = first.memory.share();
        assert!(!second.memory_growing(0, 1, None).unwrap(), "growth has read it");
        Bound::write(&file, Some(100)).unwrap();
        assert!(second.memory_growing(0, 40, None).unwrap(), "read before a copy is refused");
        Bound::write(&file, Some(60)).unwrap();
        second.memory.refresh();
        assert!(!second.memory.share().memory_growing(0, 1, None).unwrap());
    }

    #[test]
    fn no_bound() {
        assert!(bound(None).0.memory_growing(0, usize::MAX, None).unwrap());
    }
}
