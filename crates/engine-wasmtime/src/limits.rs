//! A bound on a guest's linear memory, all its memories together.

use anyhow::bail;
use wasmtime::{ResourceLimiter, ResourcesRequired};

/// How much memory a guest may hold, and holds.
pub struct MemoryBound {
    most: usize,
    held: usize,
}

impl MemoryBound {
    /// At most `most` bytes; `None` is unbounded.
    pub fn new(most: Option<u64>) -> Self {
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        Self { most, held: 0 }
    }

    /// Refuses, before it runs, a guest whose largest memory alone is too large from its start.
    ///
    /// # Errors
    /// Tells both sizes.
    pub fn admit(&self, needs: Option<&ResourcesRequired>) -> anyhow::Result<()> {
        const PAGE: u64 = 65_536;
        let bytes = needs.and_then(|needs| needs.max_initial_memory_size).unwrap_or(0).saturating_mul(PAGE);
        if usize::try_from(bytes).is_ok_and(|bytes| bytes <= self.most) {
            return Ok(());
        }
        bail!("its memory is {bytes} bytes from the start, and the container's limit is {}", self.most)
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
        let held = self.held.saturating_add(desired.saturating_sub(current));
        let grant = held <= self.most && maximum.is_none_or(|maximum| desired <= maximum);
        if grant {
            self.held = held;
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
    use super::*;

    #[test]
    fn all_memories_together_stay_below_the_bound() {
        let mut bound = MemoryBound::new(Some(100));
        let mut grow = |current, desired, maximum| bound.memory_growing(current, desired, maximum).unwrap();
        assert!(grow(0, 60, None), "a first memory");
        assert!(!grow(0, 50, None), "a second that is too much");
        assert!(grow(0, 40, None), "a second that fits");
        assert!(!grow(60, 61, None), "nothing is left");
        assert!(grow(60, 60, None), "growth by nothing");
    }

    #[test]
    fn a_refused_growth_is_not_counted() {
        let mut bound = MemoryBound::new(Some(100));
        assert!(!bound.memory_growing(0, 90, Some(80)).unwrap());
        assert!(bound.memory_growing(0, 80, Some(80)).unwrap());
    }

    #[test]
    fn no_bound() {
        assert!(MemoryBound::new(None).memory_growing(0, usize::MAX, None).unwrap());
    }
}
