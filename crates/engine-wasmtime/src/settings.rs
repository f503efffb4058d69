//! The one configuration of Wasmtime, for compiling and for running alike: compiled code that was
//! made under another one is refused when it is loaded.

use rustix::process::{Resource, getrlimit};
use wasmtime::{Config, WasmBacktraceDetails};

/// A 32-bit memory's whole range: with it reserved, the processor's page faults are the bounds checks.
const WHOLE_RANGE: u64 = 4 << 30;

/// What Wasmtime is asked for beyond its defaults.
///
/// No epochs and no fuel: a signal ends the process, so compiled code pays nothing for being stopped.
/// No allocation pool: one guest per process.
pub fn config() -> Config {
    let mut config = Config::new();
    // Both would else depend on an environment variable or on who asks.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config.native_unwind_info(false);
    config.memory_init_cow(true);
    reserve(&mut config);
    config
}

/// Sets the address space taken for each memory. Under a limit too low for the whole range little
/// beyond what is used, at the price of a check at each access.
fn reserve(config: &mut Config) {
    if getrlimit(Resource::As).current.is_some_and(|limit| limit < 4 * WHOLE_RANGE) {
        config.memory_reservation(0).memory_reservation_for_growth(16 << 20);
    } else {
        config.memory_reservation(WHOLE_RANGE);
    }
}
