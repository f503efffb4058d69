//! Limits what a guest can grow: linear memories, tables and GC heaps, together and over all its instances; and what
//! the host holds for it besides.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use engine::{Bound, too_large};
use wasmtime::{ResourceLimiter, ResourcesRequired, Store};

/// The maximum bytes per table element: a function reference has 8; a reference to a GC object has 4, and each
/// collection lists it with 16 more. Wasmtime does not report which of them a table holds.
const ELEMENT: u64 = 20;
/// The bytes that one call may pass to the host: as many as a stream takes at once, and some names.
const PER_CALL: usize = (1 << 20) + (128 << 10);
/// The handles of a component: how many it may hold whatever the bound; the bytes of the bound per further handle,
/// which really takes some hundreds; and Wasmtime's own maximum.
const HANDLES: (u64, u64, usize) = (1024, 2 << 10, 100_000);

/// The memory that a guest may hold and holds; its instances share it.
#[derive(Clone)]
pub struct Memory(Arc<MemoryUse>);

struct MemoryUse {
    bound: Bound,
    /// The bound as last read.
    max: AtomicU64,
    held: AtomicU64,
}

/// What one instance of a guest holds; released when it is dropped.
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
    max: u64,
}

impl Display for Refusal {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { asked, held, max } = self;
        write!(
            out,
            "the container's limit leaves its guest {max} bytes of memory: it held {held} and was refused {asked} more"
        )
    }
}

/// The state of a guest's host functions, which carries the bound on the guest's memory.
pub trait Bounded {
    /// What the guest holds.
    fn memory(&mut self) -> &mut MemoryBound;
}

impl Memory {
    /// Nothing held yet.
    pub fn new(bound: Bound) -> Self {
        let max = bound.max().into();
        Self(Arc::new(MemoryUse { bound, max, held: AtomicU64::new(0) }))
    }

    /// For a new instance, which holds nothing yet.
    pub fn share(&self) -> MemoryBound {
        MemoryBound { memory: self.clone(), held: 0, refused: None }
    }

    /// Rereads the bound, for instances yet to be created.
    pub fn refresh(&self) {
        self.0.max.store(self.0.bound.max(), Ordering::Relaxed);
    }

    /// Takes the initial memory of an instance, within the bound as last read, since there may be an instance per
    /// request. Rereads the bound before it refuses one.
    fn begin(&self, more: u64) -> bool {
        self.take_within(self.0.max.load(Ordering::Relaxed), more) || self.take(more)
    }

    /// Takes more, within the current bound.
    fn take(&self, more: u64) -> bool {
        self.refresh();
        self.take_within(self.0.max.load(Ordering::Relaxed), more)
    }

    fn refusal(&self, asked: u64) -> Refusal {
        let [held, max] = [&self.0.held, &self.0.max].map(|bytes| bytes.load(Ordering::Relaxed));
        Refusal { asked, held, max }
    }

    fn take_within(&self, max: u64, more: u64) -> bool {
        let taken = |held: u64| held.checked_add(more).filter(|held| *held <= max);
        self.0.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

impl Drop for MemoryBound {
    fn drop(&mut self) {
        self.memory.0.held.fetch_sub(self.held, Ordering::Relaxed);
    }
}

impl Memory {
    /// Refuses, before it runs, a guest whose largest memory and table are initially larger than the bound.
    ///
    /// # Errors
    /// Names all sizes.
    pub fn admit(&self, needs: Option<&ResourcesRequired>) -> anyhow::Result<()> {
        const PAGE: u64 = 65_536;
        let of = |size: fn(&ResourcesRequired) -> Option<u64>| needs.and_then(size).unwrap_or(0);
        let bytes = of(|needs| needs.max_initial_memory_size).saturating_mul(PAGE);
        let elements = of(|needs| needs.max_initial_table_size);
        let max = self.0.bound.max();
        if bytes.saturating_add(elements.saturating_mul(ELEMENT)) <= max {
            return Ok(());
        }
        bail!(too_large(bytes, elements, max))
    }
}

/// Limits the guest of `store`: what it grows, what one call passes to the host, and its handles.
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
    /// How many handles this instance may hold.
    pub fn handles(&self) -> usize {
        let (min, each, max) = HANDLES;
        let handles = (self.memory.0.max.load(Ordering::Relaxed) / each).max(min);
        usize::try_from(handles).map_or(max, |handles| handles.min(max))
    }

    /// The last growth, if the bound refused it: a guest that then traps does so for want of memory.
    pub fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// Counts what is granted. A growth that fails later stays counted: Wasmtime reports that failure like one that was
    /// never granted, which a guest could provoke to lower the count.
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

/// GC heaps are memories to Wasmtime.
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

    fn bound(max: Option<u64>) -> (MemoryBound, File) {
        let file = tempfile::tempfile().unwrap();
        Bound::write(&file, max).unwrap();
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
        assert_eq!(bound.refused(), Some(Refusal { asked: 100, held: 60, max: 100 }));
        assert!(!bound.memory_growing(60, 90, Some(80)).unwrap());
        assert!(bound.refused().is_some(), "the guest's own maximum does not count");
        assert!(
            bound.memory_growing(60, 70, None).unwrap() && bound.refused().is_none(),
            "a growth succeeded"
        );
    }

    #[test]
    fn instances_share_it_and_release_it() {
        let (mut first, _file) = bound(Some(100));
        let mut second = first.memory.share();
        assert!(first.memory_growing(0, 60, None).unwrap());
        assert!(!second.memory_growing(0, 60, None).unwrap());
        drop(first);
        assert!(second.memory_growing(0, 60, None).unwrap());
    }

    #[test]
    fn instances_begin_within_the_bound_that_was_last_read() {
        let (mut first, file) = bound(Some(100));
        Bound::write(&file, Some(10)).unwrap();
        assert!(first.memory_growing(0, 60, None).unwrap(), "not read again for an instance");
        assert!(!first.memory_growing(60, 61, None).unwrap(), "read again for growth");
        let mut second = first.memory.share();
        assert!(!second.memory_growing(0, 1, None).unwrap(), "the growth has read it");
        Bound::write(&file, Some(100)).unwrap();
        assert!(second.memory_growing(0, 40, None).unwrap(), "read before an instance is refused");
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
        assert!(other.table_growing(0, 5, None).unwrap(), "a dropped instance releases its tables");
    }

    #[test]
    fn an_initial_size_above_the_bound_is_refused() {
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
