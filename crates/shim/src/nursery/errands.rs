//! The errands for an existing container: hooks, which may take long, and calls of libcontainer, which forks and
//! changes the working directory.

use container::hooks::{self, Moment};
use workload::Workload;

use super::Nursery;
use crate::payload::{NurseryRequest, WorkloadFd};

impl Nursery {
    /// Runs the hooks of `moment` in the runtime's namespaces, if there are any.
    ///
    /// # Errors
    /// Names the hook that failed.
    pub async fn run_hooks(&self, workload: &Workload, moment: Moment, pid: i32) -> anyhow::Result<()> {
        if !hooks::any(&workload.spec, moment) {
            return Ok(());
        }
        let workload = WorkloadFd::of(workload)?;
        self.errand(NurseryRequest::Hooks { moment, pid, workload: workload.borrowed() }).await.map(drop)
    }

    /// Starts a native container that was created.
    ///
    /// # Errors
    /// libcontainer's.
    pub async fn start_native(&self, workload: &Workload) -> anyhow::Result<()> {
        let workload = WorkloadFd::of(workload)?;
        self.errand(NurseryRequest::NativeStart(workload.borrowed())).await.map(drop)
    }

    /// Removes a native container.
    ///
    /// # Errors
    /// libcontainer's.
    pub async fn delete_native(&self, workload: &Workload) -> anyhow::Result<()> {
        let workload = WorkloadFd::of(workload)?;
        self.errand(NurseryRequest::NativeDelete(workload.borrowed())).await.map(drop)
    }
}
