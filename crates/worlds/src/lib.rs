//! What guests import beyond the standard worlds, said once for every engine.
//!
//! [`paths`]: links and read-only mounts as Linux has them.
//! [`socket`]: the sockets of WasmEdge's ABI, as sockets of the kernel. An engine's crate links a module's imports
//! to the functions here; nothing here knows an engine, starts a thread or waits for anything but the kernel.
//!
//! Unsafe code: `raw` only.

mod memory;
pub mod paths;
#[expect(unsafe_code, reason = "socket options as bytes, which no safe wrapper passes on")]
mod raw;
pub mod socket;

pub use memory::{Memory, MemoryError};
