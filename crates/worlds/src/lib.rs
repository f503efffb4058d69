//! What guests import beyond the standard worlds, written once for every engine.
//!
//! - [`opa`]: compiled policies. A world of its own: its imports as a table, the host's state, and how an instance is
//!   driven, by the interface that [`engine::Core`] is. [`load`] lists such worlds.
//! - [`socket`]: the sockets of WasmEdge's ABI as sockets of the kernel, for modules of preview 1: a table that an engine
//!   links beside its own preview 1.
//! - [`paths`]: links and read-only mounts as Linux has them, for an engine's own calls on paths.
//! - [`preopens`]: which directories a guest sees.
//!
//! [`Memory`] is the one place where addresses and lengths that a guest names are checked. Nothing here knows an engine.
//!
//! Unsafe code: `raw` only.

mod memory;
pub mod opa;
pub mod paths;
pub mod preopens;
#[expect(unsafe_code, reason = "socket options as bytes, which no safe wrapper passes on")]
mod raw;
pub mod socket;

pub use memory::{Memory, MemoryError};

use std::os::fd::OwnedFd;

use engine::{Core, Loaded};
use workload::{Guest, HostedJob};

/// Links a module to its world and brings it to its gate. `sockets` are bound to the addresses that the job listens on;
/// `stop` is readable once the container was asked to end.
///
/// # Errors
/// A sentence that names what could not be linked or opened.
pub fn load(
    core: impl Core,
    job: HostedJob,
    guest: &Guest,
    sockets: Vec<OwnedFd>,
    stop: Option<OwnedFd>,
) -> anyhow::Result<Box<dyn Loaded>> {
    match job {
        HostedJob::Opa(job) => opa::load(core, job, guest, sockets, stop),
    }
}
