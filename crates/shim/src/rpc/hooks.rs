//! Hooks in the runtime's namespaces: a process of their own runs them, for they may take long.

use container::hooks::{self, Moment};
use workload::Workload;

use crate::daemon::Daemon;
use crate::payload::{Request, WorkloadFd};

/// Runs the hooks of one moment, if there are any.
pub async fn run_hooks(daemon: &Daemon, workload: &Workload, moment: Moment, pid: i32) -> anyhow::Result<()> {
    if !hooks::any(&workload.spec, moment) {
        return Ok(());
    }
    let workload = WorkloadFd::of(workload)?;
    daemon.nursery.errand(Request::Hooks { moment, pid, workload: workload.borrowed() }).await.map(drop)
}
