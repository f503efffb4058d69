//! Speeds up the entry of Linux containers into their cgroups: libcontainer moves their process from outside. A guest
//! needs none of this (`entry.rs`).

use std::fs;

use super::host::Hierarchies;

/// Starts an RCU grace period ahead of time. The first move of a process into any cgroup waits for one, until no fork
/// can be in progress: 6 to 9 ms; for about as long afterwards, further moves do not wait. This moves the caller to
/// where it already is. If it fails, the move itself waits.
pub fn warm_up() {
    let (Ok(host), Ok(member)) = (Hierarchies::detect(), fs::read_to_string("/proc/self/cgroup")) else {
        return;
    };
    let (names, root) = match host {
        Hierarchies::Unified(root) => (String::new(), root),
        Hierarchies::Split(hierarchies) => match hierarchies.into_iter().next() {
            Some((controllers, root)) => (controllers.join(","), root),
            None => return,
        },
    };
    let own = member.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    if let Some((_, path)) = own.into_iter().find(|(controllers, _)| *controllers == names) {
        // See above.
        let _ = fs::write(root.join(path.trim_start_matches('/')).join("cgroup.procs"), "0");
    }
}
