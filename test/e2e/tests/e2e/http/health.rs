//! The health path, which the server answers itself.

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::runner::Scenario;

use super::{all, bounds, set};

pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::ours("http-health", health), Scenario::ours("http-health-busy", busy)]
}

/// The guest does not see the request: it has no such path. Without the setting the path does not exist.
fn health(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("health", "/up")]).serve()?;
    web.get("/up")?.is(200, "ok")?;
    web.get("/up?for=kubernetes")?.is(200, "ok")?;
    web.get("/up/")?.is(404, "no such path")?;
    web.end()?;
    let web = all(daemon).serve()?;
    web.get("/up")?.is(404, "no such path")?;
    web.end()
}

/// A server without a free slot is healthy.
fn busy(daemon: &Containerd) -> Result<()> {
    let web = set(daemon, &[("health", "/up"), ("concurrency", "1"), ("queue", "0")]).serve()?;
    let held = bounds::hold(&web)?;
    let refused = web.get("/")?.status(503)?;
    ensure!(refused.header("retry-after") == Some("1"), "{refused:?}");
    web.get("/up")?.is(200, "ok")?;
    drop(held);
    web.end()
}
