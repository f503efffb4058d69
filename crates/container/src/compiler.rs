//! The box of a process that parses and compiles an image's bytes: untrusted input in a large compiler. It has only
//! the descriptors it was given, an empty directory, its memory and the processor.

use std::fs;

use anyhow::Context;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::seccomp::Filter;
use crate::{bare, privileges};

/// The compiler's new namespaces (`CLONE_NEW*`). The filter already denies sockets; the network namespace, 0.5 ms at
/// most, is there in case the filter is bypassed.
pub const NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// The first uid of compiler processes. Kubernetes' `runAsUser` and useradd assign ids below 2^31, so no container's
/// processes and files have them. Each compiler adds its pid on the host, so that those of two tenants are never the
/// same user.
const FIRST_USER: u32 = 0xf000_0000;

/// Drops all privileges and the view of the host; the caller's descriptors stay open. The caller must have one thread
/// and be in new [`NAMESPACES`]. `memory` limits its private memory and its files, in bytes.
///
/// # Errors
/// Names the step.
pub fn enter_box(memory: u64) -> anyhow::Result<()> {
    privileges::bound_memory(memory)?;
    // While the host's /proc is visible.
    privileges::first_to_go()?;
    let user = FIRST_USER + id_on_host()?;
    bare::work_apart(memory)?;
    privileges::become_powerless(user)?;
    // After the change of user, which clears it: the compiler must not outlive its daemon.
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot end with the daemon")?;
    Filter::of_compiler()?.bound().install()
}

/// The pid in the host's namespace, as the host's /proc shows it; in its own, every compiler is 1.
fn id_on_host() -> anyhow::Result<u32> {
    let own = fs::read_link("/proc/self").context("cannot read its process id")?;
    own.to_str().and_then(|id| id.parse().ok()).context("/proc/self leads to no process id")
}
