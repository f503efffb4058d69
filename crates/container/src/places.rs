//! Places to compile in: how much the whole node compiles at once, for all its pods together.
//!
//! A place is a lock, which ends with the daemon that holds it, and a cgroup that bounds the memory of the one
//! process in it. All of these cgroups are in one, which may have half of the node's memory, or as much as is asked
//! for one place, where that is more. Compiling is charged
//! to it and not to the pod: what is compiled is kept for every pod of the node, and a module whose code needs little
//! may take much to compile.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use oci_spec::runtime::{LinuxMemory, LinuxResources};
use rustix::fs::{FlockOperation, flock};

use crate::cgroup::{Entry, Folders};

/// Where the locks are. Root's alone, like everything below `/run/lighter`.
const LOCKS: &str = "/run/lighter/compiling";
/// Where the cgroups are, also on hosts on which systemd makes the containers': it lets be what it did not make.
const CGROUP: &str = "/lighter-compiling";

/// A place that was taken. To drop it is to leave it.
#[derive(Debug)]
pub struct Place {
    /// Its cgroup, where this host can bound memory by one.
    cgroup: Option<Folders>,
    /// How often memory had run out there before.
    ran_out: u64,
    /// Locked for as long as it is open.
    _lock: File,
}

/// Takes one of the node's `places`, for a process with at most `memory` bytes, and says how that comes into its
/// cgroup. `None` while all are taken.
///
/// # Errors
/// Names the lock's file.
pub fn take(places: u64, memory: u64) -> anyhow::Result<Option<(Place, Entry)>> {
    let Some((number, lock)) = lock(Path::new(LOCKS), places)? else { return Ok(None) };
    let (cgroup, entry) = match bounded(number, memory) {
        Ok((cgroup, entry)) => (Some(cgroup), entry),
        // Containers without a limit run on such hosts, too; the compiler's own limits hold everywhere.
        Err(error) => {
            log::warn!("compiling is bounded for each module alone, not by a cgroup: {error:#}");
            (None, Entry::OUTSIDE)
        }
    };
    let ran_out = cgroup.as_ref().map_or(0, times_full);
    Ok(Some((Place { cgroup, ran_out, _lock: lock }, entry)))
}

impl Place {
    /// Whether the place's own memory ran out since it was taken.
    pub fn ran_out(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| times_full(cgroup) > self.ran_out)
    }
}

/// The first lock of so many that is free.
fn lock(folder: &Path, places: u64) -> anyhow::Result<Option<(u64, File)>> {
    let at = |path: &Path| format!("cannot take a place to compile in at {}", path.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| at(folder))?;
    for number in 0..places {
        let path = folder.join(number.to_string());
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| at(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            locked => return locked.map(|()| Some((number, file))).with_context(|| at(&path)),
        }
    }
    Ok(None)
}

fn bounded(number: u64, memory: u64) -> anyhow::Result<(Folders, Entry)> {
    let all = Folders::at(Path::new(CGROUP))?.only("memory")?;
    let own = Folders::at(&Path::new(CGROUP).join(number.to_string()))?.only("memory")?;
    own.make()?;
    // Once it is set it is not lowered: others may be in there.
    let half = half_of_node()?;
    let bound = half.max(memory);
    if limit(&all).is_none_or(|old| old < bound || old > 2 * half && old != bound) {
        all.limit(&most(bound))?;
    }
    own.limit(&most(memory))?;
    let entry = own.first_entry()?;
    Ok((own, entry))
}

fn most(bytes: u64) -> LinuxResources {
    let mut memory = LinuxMemory::default();
    memory.set_limit(Some(i64::try_from(bytes).unwrap_or(i64::MAX)));
    let mut resources = LinuxResources::default();
    resources.set_memory(Some(memory));
    resources
}

fn limit(cgroup: &Folders) -> Option<u64> {
    let file = if cgroup.unified().is_some() { "memory.max" } else { "memory.limit_in_bytes" };
    cgroup.number("memory", file)
}

/// How often the cgroup's own limit stood in the way.
fn times_full(cgroup: &Folders) -> u64 {
    match cgroup.unified() {
        Some(_) => cgroup.keyed("memory", "memory.events.local").get("oom"),
        None => cgroup.number("memory", "memory.failcnt").unwrap_or(0),
    }
}

/// In bytes.
fn half_of_node() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let kib: u64 = total.and_then(|kib| kib.parse().ok()).context("/proc/meminfo tells no MemTotal")?;
    Ok(kib * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_have_a_place_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let take = |places| lock(folder.path(), places).unwrap();
        let (one, other) = (take(2).unwrap(), take(2).unwrap());
        assert_eq!((one.0, other.0), (0, 1));
        assert!(take(2).is_none());
        // Who allows more has more; who allows fewer waits for those.
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
