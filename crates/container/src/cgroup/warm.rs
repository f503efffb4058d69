//! Why a Linux container gets into its cgroup sooner: libcontainer moves its process from outside. A guest goes
//! in by itself and needs none of this (`entry.rs`).

use std::fs;

use super::host::Host;

/// Has the kernel begin, ahead of time, what makes the first move of a process into any cgroup wait for 6 to 9
/// ms: it waits until no fork can be under way (an RCU grace period), and remembers that for as long again. This
/// moves the caller to where it is already. What cannot be done so costs the move itself the wait.
pub fn warm_up() {
    let (Ok(host), Ok(member)) = (Host::look(), fs::read_to_string("/proc/self/cgroup")) else { return };
    let (names, root) = match host {
        Host::Unified(root) => (String::new(), root),
        Host::Split(hierarchies) => match hierarchies.into_iter().next() {
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
