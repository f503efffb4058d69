//! Slots for compilers: they limit how much the whole node compiles at once, for all its pods together.
//!
//! A slot is a file lock, which ends with the daemon that holds it, and a cgroup that limits the memory of the one
//! process in the slot. All these cgroups have one parent, which may use half of the node's memory, or one slot's
//! memory where that is more. Compiling is charged to it and not to the pod: the code is cached for every pod of the
//! node, and a module whose code needs little memory may take much to compile.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use oci_spec::runtime::{LinuxMemory, LinuxResources};
use rustix::fs::{FlockOperation, flock};

use crate::cgroup::{CgroupDirs, Entry};

/// The directory of the locks. Root's alone, like everything below `/run/lighter`.
const LOCKS: &str = "/run/lighter/compiling";
/// The parent cgroup, also on hosts where systemd creates the containers' cgroups: it leaves alone what it did not
/// create.
const CGROUP: &str = "/lighter-compiling";

/// A taken slot. Dropping it frees the slot.
#[derive(Debug)]
pub struct CompileSlot {
    /// Its cgroup, if this host can limit memory by one.
    cgroup: Option<CgroupDirs>,
    /// How often its memory had run out before.
    ran_out: u64,
    /// Locked for as long as it is open.
    _lock: File,
}

/// Takes one of the node's `count` slots, for a process with at most `memory` bytes. Returns it with how that process
/// enters its cgroup; `None` while all are taken.
///
/// # Errors
/// Names the lock's file.
pub fn take(count: u64, memory: u64) -> anyhow::Result<Option<(CompileSlot, Entry)>> {
    let Some((number, lock)) = lock(Path::new(LOCKS), count)? else { return Ok(None) };
    let (cgroup, entry) = match bounded(number, memory) {
        Ok((cgroup, entry)) => (Some(cgroup), entry),
        // Containers run without limits on such hosts, too; the compiler's own limits always hold.
        Err(error) => {
            log::warn!("compiling is bounded for each module alone, not by a cgroup: {error:#}");
            (None, Entry::OUTSIDE)
        }
    };
    let ran_out = cgroup.as_ref().map_or(0, times_full);
    Ok(Some((CompileSlot { cgroup, ran_out, _lock: lock }, entry)))
}

impl CompileSlot {
    /// Whether the slot's own memory ran out since it was taken.
    pub fn ran_out(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| times_full(cgroup) > self.ran_out)
    }
}

/// Takes the first free one of `count` locks.
fn lock(dir: &Path, count: u64) -> anyhow::Result<Option<(u64, File)>> {
    let at = |path: &Path| format!("cannot take a place to compile in at {}", path.display());
    DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| at(dir))?;
    for number in 0..count {
        let path = dir.join(number.to_string());
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| at(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            locked => return locked.map(|()| Some((number, file))).with_context(|| at(&path)),
        }
    }
    Ok(None)
}

fn bounded(number: u64, memory: u64) -> anyhow::Result<(CgroupDirs, Entry)> {
    let all = CgroupDirs::at(Path::new(CGROUP))?.only("memory")?;
    let own = CgroupDirs::at(&Path::new(CGROUP).join(number.to_string()))?.only("memory")?;
    own.make()?;
    // Not lowered once it is set: other compilers may be running.
    let half = half_of_node()?;
    let bound = half.max(memory);
    if limit(&all).is_none_or(|old| old < bound || old > 2 * half && old != bound) {
        all.limit(&limited_to(bound))?;
    }
    own.limit(&limited_to(memory))?;
    let entry = own.first_entry()?;
    Ok((own, entry))
}

fn limited_to(bytes: u64) -> LinuxResources {
    let mut memory = LinuxMemory::default();
    memory.set_limit(Some(i64::try_from(bytes).unwrap_or(i64::MAX)));
    let mut resources = LinuxResources::default();
    resources.set_memory(Some(memory));
    resources
}

fn limit(cgroup: &CgroupDirs) -> Option<u64> {
    let file = if cgroup.unified().is_some() { "memory.max" } else { "memory.limit_in_bytes" };
    cgroup.number("memory", file)
}

/// How often the cgroup reached its own limit.
fn times_full(cgroup: &CgroupDirs) -> u64 {
    match cgroup.unified() {
        Some(_) => cgroup.keyed("memory", "memory.events.local").get("oom"),
        None => cgroup.number("memory", "memory.failcnt").unwrap_or(0),
    }
}

/// In bytes.
fn half_of_node() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let kib: u64 = total.and_then(|kib| kib.parse().ok()).context("/proc/meminfo has no MemTotal")?;
    Ok(kib * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_slots_are_taken_than_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let take = |count| lock(dir.path(), count).unwrap();
        let (one, other) = (take(2).unwrap(), take(2).unwrap());
        assert_eq!((one.0, other.0), (0, 1));
        assert!(take(2).is_none());
        // A caller that allows more slots gets more; one that allows fewer waits.
        let third = take(3).unwrap();
        assert!(take(1).is_none());
        drop(one);
        assert_eq!(take(2).unwrap().0, 0);
        drop((other, third));
    }

    #[test]
    fn half_of_the_node_is_known() {
        assert!(half_of_node().unwrap() > 64 << 20);
    }
}
