//! Scenarios through CRI: what a kubelet does, and what its users see.

mod exec;
mod life;
mod limits;
mod logs;
mod namespaces;
mod network;
mod restart;
mod security;
mod sidecar;
mod sidecars;

use anyhow::Result;
use e2e::cri::{self, Cri};
use e2e::guests::Guest;
use e2e::runner::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    scenarios.extend(life::scenarios());
    scenarios.extend(logs::scenarios());
    scenarios.extend(network::scenarios());
    scenarios.extend(exec::scenarios());
    scenarios.extend(security::scenarios());
    scenarios.extend(namespaces::scenarios());
    scenarios.extend(limits::scenarios());
    scenarios.extend(restart::scenarios());
    scenarios.extend(sidecar::scenarios());
    scenarios.extend(sidecars::scenarios());
    scenarios
}

/// The same check for a Wasm guest and for a native one.
fn both(name: &str, check: fn(&Cri<'_>, Guest) -> Result<()>) -> [Scenario; 2] {
    [
        cri::ours(format!("cri-wasm-{name}"), move |cri| check(cri, Guest::Wasm)),
        cri::any(format!("cri-native-{name}"), move |cri| check(cri, Guest::Native)),
    ]
}
