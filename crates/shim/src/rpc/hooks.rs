//! Hooks in the runtime's namespaces: a process of their own runs them, for they may take long.

use std::os::fd::AsFd;

use container::channel;
use container::hooks::{self, Moment};
use workload::Workload;

use crate::daemon::Daemon;
use crate::payload::Request;

/// Runs the hooks of one moment, if there are any.
pub async fn run_hooks(daemon: &Daemon, workload: &Workload, moment: Moment, pid: i32) -> anyhow::Result<()> {
    if !hooks::any(&workload.spec, moment) {
        return Ok(());
    }
    let payload = channel::sealed_json("workload", workload)?;
    daemon.nursery.errand(&Request::Hooks { moment, pid }, &[payload.as_fd()]).await.map(drop)
}
