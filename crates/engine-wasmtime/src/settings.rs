//! The configurations of Wasmtime. Compiling and running use the same one: code that was compiled with another is
//! refused when it is loaded.

use rustix::process::{Resource, getrlimit};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// The address range of a 32-bit memory: with all of it reserved, page faults do the bounds checks.
const WHOLE_RANGE: u64 = 4 << 30;

/// The stack of a guest that runs once, in bytes, as of a Linux program's main thread. Only touched pages take memory.
pub const MAX_STACK: usize = 8 << 20;
/// Stack for host functions, below the guest's own frames, in bytes.
const HOST_STACK: usize = 3 << 19;

/// The text of this file: any change of it invalidates cached code.
pub const VERSION: &str = include_str!("settings.rs");

/// For guests that run once, with a stack of `stack` bytes.
///
/// No epochs and no fuel: a signal ends the process, so the code needs no checks. No pooling: one guest per process.
pub fn config(stack: usize) -> Config {
    let mut config = Config::new();
    config.max_wasm_stack(stack).async_stack_size(stack.saturating_add(HOST_STACK));
    // Set explicitly: their defaults depend on an environment variable and on the platform.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config.native_unwind_info(false);
    config.memory_init_cow(true);
    // Each instance of each guest would pay for what few can use.
    config.concurrency_support(false);
    reserve(&mut config);
    config
}

/// The same for components with asynchronous calls.
pub fn concurrent(stack: usize) -> Config {
    let mut config = config(stack);
    config.concurrency_support(cfg!(feature = "p3"));
    #[cfg(feature = "p3")]
    config.wasm_component_model_async(true);
    config
}

/// How many calls one instance runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// One.
    One,
    /// One, and one more from a host function that it has called.
    Nested,
    /// Several: asynchronous calls of the component model.
    Concurrent,
}

/// For guests with up to `max` instances at once, each with a stack of `stack` bytes.
///
/// With epochs, since the instances share a process: one that takes too long must be ended alone.
pub fn serving(calls: Calls, max: usize, stack: usize) -> Config {
    let mut config = if calls == Calls::Concurrent { concurrent(stack) } else { config(stack) };
    config.epoch_interruption(true);
    // A stack for each call of an instance.
    let stacks = max.saturating_mul(match calls {
        Calls::One => 1,
        Calls::Nested => 2,
        Calls::Concurrent => 4,
    });
    if !is_narrow() {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(max, stacks)));
    }
    config
}

/// Address space for `max` instances of a component, each of several modules as toolchains make them: the program, its
/// adapter, and the glue between them.
fn pool(max: usize, stacks: usize) -> PoolingAllocationConfig {
    /// Each memory reserves its whole range, and a process has 2^47 addresses.
    const MAX_MEMORIES: u32 = 8192;
    /// Kept resident and zeroed for reuse, which for so few bytes is cheaper than new pages from the kernel.
    const RESIDENT: usize = 128 << 10;
    let [max, stacks] = [max, stacks].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(max)
        .total_core_instances(max.saturating_mul(16))
        .total_stacks(stacks)
        .total_memories(max.saturating_mul(2).min(MAX_MEMORIES))
        .total_tables(max.saturating_mul(4).min(4 * MAX_MEMORIES))
        .total_gc_heaps(max.min(MAX_MEMORIES))
        .max_memory_size(usize::try_from(WHOLE_RANGE).unwrap_or(usize::MAX))
        .max_component_instance_size(8 << 20)
        .max_core_instance_size(8 << 20)
        .max_memories_per_module(16)
        .max_tables_per_module(16)
        .linear_memory_keep_resident(RESIDENT)
        .table_keep_resident(RESIDENT)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Sets the address space reserved for each memory. Under a limit too low for the whole range, little more than what is
/// used, at the price of a bounds check at each access.
fn reserve(config: &mut Config) {
    if is_narrow() {
        config.memory_reservation(0).memory_reservation_for_growth(16 << 20);
    } else {
        config.memory_reservation(WHOLE_RANGE);
    }
}

/// Whether `RLIMIT_AS` is too low to reserve whole ranges.
fn is_narrow() -> bool {
    getrlimit(Resource::As).current.is_some_and(|limit| limit < 4 * WHOLE_RANGE)
}
