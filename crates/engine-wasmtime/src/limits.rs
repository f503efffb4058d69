//! A bound on what a guest makes grow: its linear memories, its tables and its heap of collected objects, all together,
//! and those of all its copies; and on what the host holds for it beside those.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use engine::{Bound, too_large};
use wasmtime::{ResourceLimiter, ResourcesRequired, Store};

/// The bytes that an element of a table takes at most: a function's has 8; one that refers to a collected object has 4,
/// and each collection lists it by 16 more. Wasmtime does not tell which it asks for.
const ELEMENT: u64 = 20;
/// The bytes that one call may bring to the host: as many as a stream takes at once, and some names.
const PER_CALL: usize = (1 << 20) + (128 << 10);
/// How many of the host's things a component may hold whatever the bound, and the bytes of the bound that each one more
/// takes, of which it really takes some hundreds; Wasmtime's own most.
const HANDLES: (u64, u64, usize) = (1024, 2 << 10, 100_000);

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
    refused: Option<Refusal>,
}

/// A growth that the bound refused, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    asked: u64,
    held: u64,
    most: u64,
}

impl Display for Refusal {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { asked, held, most } = self;
        write!(
            out,
            "the container's limit leaves its guest {most} bytes of memory: it held {held} and was refused {asked} more"
        )
    }
}

/// What a guest's host functions work on, with the bound on the guest's memory.
pub trait Bounded {
    /// What the guest holds.
    fn memory(&mut self) -> &mut MemoryBound;
}

impl Memory {
    /// Nothing held yet.
    pub fn new(bound: Bound) -> Self {
        let most = bound.max().into();
        Self(Arc::new(Shared { bound, most, held: AtomicU64::new(0) }))
    }

    /// For a copy that holds nothing yet.
    pub fn share(&self) -> MemoryBound {
        MemoryBound { memory: self.clone(), held: 0, refused: None }
    }

    /// Reads the bound once more, for copies yet to be made.
    pub fn refresh(&self) {
        self.0.most.store(self.0.bound.max(), Ordering::Relaxed);
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

    fn refusal(&self, asked: u64) -> Refusal {
        let [held, most] = [&self.0.held, &self.0.most].map(|bytes| bytes.load(Ordering::Relaxed));
        Refusal { asked, held, most }
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
    /// Refuses, before it runs, a guest whose largest memory and table alone are too large from their start.
    ///
    /// # Errors
    /// Tells all sizes.
    pub fn admit(&self, needs: Option<&ResourcesRequired>) -> anyhow::Result<()> {
        const PAGE: u64 = 65_536;
        let of = |size: fn(&ResourcesRequired) -> Option<u64>| needs.and_then(size).unwrap_or(0);
        let bytes = of(|needs| needs.max_initial_memory_size).saturating_mul(PAGE);
        let elements = of(|needs| needs.max_initial_table_size);
        let most = self.0.bound.max();
        if bytes.saturating_add(elements.saturating_mul(ELEMENT)) <= most {
            return Ok(());
        }
        bail!(too_large(bytes, elements, most))
    }
}

/// Bounds the guest of `store`: what it makes grow, what one call brings to the host, and its handles.
pub fn bind<T: Bounded + 'static>(store: &mut Store<T>) {
    let handles = store.data_mut().memory().handles();
    store.limiter(|host| host.memory());
    store.set_hostcall_fuel(PER_CALL);
    store.set_max_component_handles(handles);
    #[cfg(feature = "p3")]
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(handles);
    }
}

impl MemoryBound {
    /// How many of the host's things this copy may hold.
    pub fn handles(&self) -> usize {
        let (least, each, most) = HANDLES;
        let handles = (self.memory.0.most.load(Ordering::Relaxed) / each).max(least);
        usize::try_from(handles).map_or(most, |handles| handles.min(most))
    }

    /// The last growth it asked for, if the bound refused that: a guest that then traps does so for want of memory.
    pub fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// Counts what is granted. A growth that fails later for want of memory stays counted: Wasmtime
    /// reports that failure in the same way as one that was never granted, and a guest could
    /// provoke those to be counted down.
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>, unit: u64) -> bool {
        let more = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX).saturating_mul(unit);
        let take = if current == 0 { Memory::begin } else { Memory::take };
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let grant = take(&self.memory, more);
        if grant {
            self.held += more;
        }
        self.refused = (!grant).then(|| self.memory.refusal(more));
        grant
    }
}

/// Heaps of collected objects are memories to Wasmtime.
impl ResourceLimiter for MemoryBound {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, 1))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, ELEMENT))
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
    fn the_last_refusal_is_known() {
        let (mut bound, _file) = bound(Some(100));
        assert!(bound.memory_growing(0, 60, None).unwrap() && bound.refused().is_none());
        assert!(!bound.memory_growing(60, 160, None).unwrap());
        assert_eq!(bound.refused(), Some(Refusal { asked: 100, held: 60, most: 100 }));
        assert!(!bound.memory_growing(60, 90, Some(80)).unwrap());
        assert!(bound.refused().is_some(), "the guest's own maximum says nothing of the bound");
        assert!(bound.memory_growing(60, 70, None).unwrap() && bound.refused().is_none(), "it found a way");
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
    fn tables_count_with_the_memories() {
        let (mut bound, _file) = bound(Some(100));
        assert!(bound.memory_growing(0, 40, None).unwrap());
        assert!(!bound.table_growing(0, 4, None).unwrap(), "80 bytes beside 40");
        assert!(bound.table_growing(0, 1, None).unwrap());
        assert!(bound.table_growing(1, 3, Some(3)).unwrap());
        assert!(!bound.table_growing(3, 4, None).unwrap(), "nothing is left");
        assert!(!bound.table_growing(1, usize::MAX, None).unwrap(), "more than can be counted");
        assert!(!bound.memory_growing(40, 41, None).unwrap());
        let mut other = bound.memory.share();
        drop(bound);
        assert!(other.table_growing(0, 5, None).unwrap(), "a copy that is gone gives back its tables");
    }

    #[test]
    fn what_is_too_large_from_its_start_is_told() {
        let (bound, _file) = bound(Some(2 << 16));
        let admit = |pages, elements| {
            let (max_initial_memory_size, max_initial_table_size) = (Some(pages), Some(elements));
            let needs = ResourcesRequired {
                num_memories: 1,
                max_initial_memory_size,
                num_tables: 1,
                max_initial_table_size,
            };
            bound.memory.admit(Some(&needs)).map_err(|error| error.to_string())
        };
        assert_eq!((admit(2, 0), admit(1, 3000)), (Ok(()), Ok(())));
        assert!(admit(3, 0).unwrap_err().starts_with("its memory is 196608 bytes from the start, and the c"));
        assert!(
            admit(1, 4000).unwrap_err().contains("and its table 4000 elements, and the container's limit")
        );
        assert!(admit(0, u64::MAX).is_err());
    }

    #[test]
    fn no_bound() {
        assert!(bound(None).0.memory_growing(0, usize::MAX, None).unwrap());
    }
}
