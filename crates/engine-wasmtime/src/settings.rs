//! The configurations of Wasmtime, each for compiling and for running alike: compiled code that was made
//! under another one is refused when it is loaded.

use rustix::process::{Resource, getrlimit};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// A 32-bit memory's whole range: with it reserved, the processor's page faults are the bounds checks.
const WHOLE_RANGE: u64 = 4 << 30;

/// How deep a guest that runs once may go, in bytes: as the main thread of a Linux program. The kernel gives what is touched.
pub const DEEPEST: usize = 8 << 20;
/// What the host's functions may take below a guest's own frames, in bytes.
const HOST: usize = 3 << 19;

/// The text of this file: what was compiled under another may be of no use.
pub const VERSION: &str = include_str!("settings.rs");

/// For guests that run once and may go `deep` bytes deep.
///
/// No epochs and no fuel: a signal ends the process, so compiled code pays nothing for being stopped.
/// No allocation pool: one guest per process.
pub fn config(deep: usize) -> Config {
    let mut config = Config::new();
    config.max_wasm_stack(deep).async_stack_size(deep.saturating_add(HOST));
    // Both would else depend on an environment variable or on who asks.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config.native_unwind_info(false);
    config.memory_init_cow(true);
    // Each copy of each guest would pay for what few can use.
    config.concurrency_support(false);
    reserve(&mut config);
    config
}

/// The same for components whose code has several calls at work at once.
pub fn concurrent(deep: usize) -> Config {
    let mut config = config(deep);
    #[cfg(feature = "p3")]
    config.concurrency_support(true).wasm_component_model_async(true);
    config
}

/// The calls that one instance is at work on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// One.
    One,
    /// One, and one more from within a function of the host's that it has called.
    Nested,
    /// Several, as the component model has them.
    Concurrent,
}

/// For guests of which there is a copy per request, `most` at once, each of which may go `deep` bytes deep.
///
/// Epochs, since many share a process: one that takes too long must be ended alone.
pub fn serving(calls: Calls, most: usize, deep: usize) -> Config {
    let mut config = if calls == Calls::Concurrent { concurrent(deep) } else { config(deep) };
    config.epoch_interruption(true);
    // Each call that waits while others of the same instance go on has one of its own.
    let stacks = most.saturating_mul(match calls {
        Calls::One => 1,
        Calls::Nested => 2,
        Calls::Concurrent => 4,
    });
    if !is_narrow() {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(most, stacks)));
    }
    config
}

/// Address space for `most` copies of a component, each of several modules as toolchains make them: the
/// program, its adapter, and what ties them together.
fn pool(most: usize, stacks: usize) -> PoolingAllocationConfig {
    /// Each memory takes its whole range of addresses, of which a process has 2^47.
    const MOST_MEMORIES: u32 = 8192;
    /// Reset by writing, which is cheaper than by asking the kernel for new pages, as long as it is little.
    const KEPT: usize = 128 << 10;
    let [most, stacks] = [most, stacks].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(most)
        .total_core_instances(most.saturating_mul(16))
        .total_stacks(stacks)
        .total_memories(most.saturating_mul(2).min(MOST_MEMORIES))
        .total_tables(most.saturating_mul(4).min(4 * MOST_MEMORIES))
        .total_gc_heaps(most.min(MOST_MEMORIES))
        .max_memory_size(usize::try_from(WHOLE_RANGE).unwrap_or(usize::MAX))
        .max_component_instance_size(8 << 20)
        .max_core_instance_size(8 << 20)
        .max_memories_per_module(16)
        .max_tables_per_module(16)
        .linear_memory_keep_resident(KEPT)
        .table_keep_resident(KEPT)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Sets the address space taken for each memory. Under a limit too low for the whole range little
/// beyond what is used, at the price of a check at each access.
fn reserve(config: &mut Config) {
    if is_narrow() {
        config.memory_reservation(0).memory_reservation_for_growth(16 << 20);
    } else {
        config.memory_reservation(WHOLE_RANGE);
    }
}

/// Whether the process may have so few addresses that no memory gets its whole range.
fn is_narrow() -> bool {
    getrlimit(Resource::As).current.is_some_and(|limit| limit < 4 * WHOLE_RANGE)
}
