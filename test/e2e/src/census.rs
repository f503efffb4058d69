//! Lists what a private containerd's containers hold on the machine, so that a test can report what they left behind:
//! processes, mounts, cgroups, bundles and state, sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::containerd::Containerd;
use crate::process::poll;

/// How long a shim may take to clean up after its last task was deleted.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything found, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census(BTreeSet<String>);

impl Census {
    /// Counts now.
    ///
    /// # Errors
    /// When the kernel's tables cannot be read.
    pub fn take(daemon: &Containerd) -> Result<Self> {
        let scope = &daemon.scope;
        let mut lines = BTreeSet::new();
        for process in scope.processes()?.iter().filter(|process| !process.is_containerd()) {
            lines.insert(format!("process {} ({})", process.pid, process.command));
        }
        lines.extend(scope.mounts()?.iter().map(|point| format!("mount {}", point.display())));
        lines.extend(scope.cgroups()?.iter().map(|group| format!("cgroup {}", group.display())));
        lines.extend(scope.state().iter().map(|path| format!("state {}", path.display())));
        if daemon.shim.is_ours() {
            // runc's shim, with which the tests are tested, leaves its socket when it is killed.
            lines.extend(scope.dead_sockets().iter().map(|path| format!("socket {}", path.display())));
        }
        Ok(Self(lines))
    }

    /// Waits until nothing is left that was not listed before.
    ///
    /// # Errors
    /// What was left behind.
    pub fn settled(&self, daemon: &Containerd) -> Result<()> {
        let mut left = Vec::new();
        let settled = poll("what is left", PATIENCE, || {
            left = self.left_behind(&Self::take(daemon)?);
            Ok(left.is_empty().then_some(()))
        });
        if left.is_empty() {
            return settled;
        }
        bail!("left behind after {} s:\n{}", PATIENCE.as_secs(), left.join("\n"))
    }

    /// What is in `later` and not in this one.
    pub fn left_behind(&self, later: &Self) -> Vec<String> {
        later.0.difference(&self.0).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_left_behind() {
        let census = |lines: &[&str]| Census(lines.iter().map(|line| line.to_string()).collect());
        let before = census(&["mount /a", "process 1 (shim)"]);
        assert_eq!(before.left_behind(&census(&["mount /a"])), Vec::<String>::new());
        assert_eq!(before.left_behind(&census(&["mount /a", "mount /b"])), ["mount /b"]);
    }
}
