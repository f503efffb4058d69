//! The memory of idle pods.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::containerd::Containerd;

/// A wait, so that memory needed for the start only is released before the count.
const SETTLED: Duration = Duration::from_secs(1);
/// The kernel memory of a thread beside its page tables, in KiB: its stack.
const STACK: u64 = 16;

/// The memory of all processes of all pods together, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Their proportional share of memory.
    pub share: u64,
    /// Private dirty memory.
    pub private: u64,
    /// Page tables and stacks in the kernel.
    pub kernel: u64,
}

/// Counts the memory held now.
///
/// # Errors
/// When a process cannot be read.
pub fn held(daemon: &Containerd) -> Result<Held> {
    sleep(SETTLED);
    let mut all = Held::default();
    for process in daemon.scope.processes()?.iter().filter(|process| !process.is_containerd()) {
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", process.pid));
        // A client of containerd may have ended since.
        let (Ok(memory), Ok(status)) = (read("smaps_rollup"), read("status")) else { continue };
        all.share += number(&memory, "Pss:")?;
        all.private += number(&memory, "Private_Dirty:")?;
        all.kernel += number(&status, "VmPTE:")? + STACK * number(&status, "Threads:")?;
    }
    Ok(all)
}

fn number(text: &str, key: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    Ok(value.split_whitespace().next().unwrap_or_default().parse()?)
}
