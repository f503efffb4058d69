//! What the daemon has others do for a container that is there: hooks, which may take long, and what libcontainer does,
//! which forks and changes folders.

use container::hooks::{self, Moment};
use workload::Workload;

use super::Nursery;
use crate::payload::{Request, WorkloadFd};

impl Nursery {
    /// Runs the hooks of one moment in the runtime's namespaces, if there are any.
    ///
    /// # Errors
    /// Which failed.
    pub async fn run_hooks(&self, workload: &Workload, moment: Moment, pid: i32) -> anyhow::Result<()> {
        if !hooks::any(&workload.spec, moment) {
            return Ok(());
        }
        let workload = WorkloadFd::of(workload)?;
        self.errand(Request::Hooks { moment, pid, workload: workload.borrowed() }).await.map(drop)
    }

    /// Starts a native container that was created.
    ///
    /// # Errors
    /// libcontainer's.
    pub async fn start_native(&self, workload: &Workload) -> anyhow::Result<()> {
        let workload = WorkloadFd::of(workload)?;
        self.errand(Request::NativeStart(workload.borrowed())).await.map(drop)
    }

    /// Removes a native container.
    ///
    /// # Errors
    /// libcontainer's.
    pub async fn delete_native(&self, workload: &Workload) -> anyhow::Result<()> {
        let workload = WorkloadFd::of(workload)?;
        self.errand(Request::NativeDelete(workload.borrowed())).await.map(drop)
    }
}
