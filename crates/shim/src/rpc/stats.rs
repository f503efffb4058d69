//! Stats: what a container has used.

use std::sync::Arc;

use containerd_shim_protos::api::StatsResponse;
use ttrpc::{Code, Result};

use super::status::{StatusOf, status};
use crate::task::Task;
use crate::watch::stats;

/// By now, or when that could be looked at last.
pub async fn stats(task: Arc<Task>) -> Result<StatsResponse> {
    let stats = stats::of(task).await.map_err(StatusOf::from)?;
    stats.ok_or_else(|| status(Code::NOT_FOUND, "the container's cgroup is gone".into()))
}
