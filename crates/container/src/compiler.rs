//! The box of a process that reads and compiles what an image holds: bytes that nobody trusts, in a compiler that is
//! large. It has nothing but the descriptors it was given, an empty folder, its memory and the processor.

use std::fs;

use anyhow::Context;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::seccomp::Filter;
use crate::{bare, privileges};

/// The namespaces it is born into (`CLONE_NEW*`). The filter lets it make no socket; a network of its own, 0.5 ms at most,
/// is for the day on which something gets around the filter.
pub const NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// The first of the users that such processes are. Kubernetes' `runAsUser` and what useradd gives away end below
/// 2^31, so no container's processes and files are theirs; and each has one of its own, called after its id on the
/// host, so that no two, of two tenants, are one user to the kernel.
const FIRST_USER: u32 = 0xf000_0000;

/// Gives up all power and sight of the host, but for the caller's descriptors. To be called by a process with one
/// thread that was born into [`NAMESPACES`]; `memory` bounds, in bytes, what it may have of its own and in files.
///
/// # Errors
/// Names the step.
pub fn enter_box(memory: u64) -> anyhow::Result<()> {
    privileges::bound_memory(memory)?;
    // While the host's /proc is in sight.
    privileges::first_to_go()?;
    let user = FIRST_USER + id_on_host()?;
    bare::work_apart(memory)?;
    privileges::become_powerless(user)?;
    // A change of user clears it: whose daemon is gone compiles for nobody.
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot end with the daemon")?;
    Filter::of_compiler()?.bound().install()
}

/// In its own namespace every such process is the first.
fn id_on_host() -> anyhow::Result<u32> {
    let own = fs::read_link("/proc/self").context("cannot tell its process id")?;
    own.to_str().and_then(|id| id.parse().ok()).context("/proc/self leads to no process id")
}
