//! What guests import beyond the standard worlds, written once for every engine.
//!
//! - [`opa`]: compiled policies. A world of its own: its imports as a table, the host's state, and how an instance is
//!   run, through [`engine::Core`]. [`load`] lists such worlds.
//! - [`socket`]: the sockets of WasmEdge's ABI, for modules of preview 1: a table that an engine links beside its own
//!   preview 1.
//! - [`paths`]: symbolic links and read-only mounts as on Linux, for an engine's own path functions.
//! - [`preopens`]: the directories that a guest sees.
//!
//! [`Memory`] checks all addresses and lengths that guests pass. Nothing here knows an engine.
//!
//! Unsafe code: `raw` only.

mod memory;
pub mod opa;
pub mod paths;
pub mod preopens;
#[expect(unsafe_code, reason = "socket options as bytes, for which there is no safe wrapper")]
mod raw;
pub mod socket;

pub use memory::{Memory, MemoryError};

use std::os::fd::OwnedFd;

use engine::{Core, Loaded};
use workload::{Guest, HostedJob};

/// Links a module to its world and makes it ready to run. `sockets` are bound to the addresses that the job listens on;
/// `stop` becomes readable when the container is asked to end.
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
