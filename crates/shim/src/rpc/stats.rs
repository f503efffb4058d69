//! Stats: the resource usage of a container.

use std::sync::Arc;

use containerd_shim_protos::api::StatsResponse;
use ttrpc::{Code, Result};

use super::status::{StatusOf, status};
use crate::task::Task;
use crate::watch::stats;

/// The current stats, or the last known ones.
pub async fn stats(task: Arc<Task>) -> Result<StatsResponse> {
    let stats = stats::of(task).await.map_err(StatusOf::from)?;
    stats.ok_or_else(|| status(Code::NOT_FOUND, "the container's cgroup is gone".into()))
}
