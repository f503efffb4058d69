//! Components that answer HTTP requests: what clients, guests and operators can rely on.

mod addresses;
mod bounds;
mod ending;
mod failures;
mod health;
mod isolation;
mod lookups;
mod malformed;
mod outgoing;
mod patience;
mod policy;
mod protocol;
mod stalls;
mod streaming;
mod tls;
mod wasi03;

use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::runner::Scenario;

/// A guest with a path for each feature of the host.
const ALL: &[&str] = &["/guests/http-all.wasm"];
/// A guest that answers every request with `hello`.
const HELLO: &[&str] = &["/guests/http-hello.wasm"];

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    scenarios.extend(protocol::scenarios());
    scenarios.extend(streaming::scenarios());
    scenarios.extend(addresses::scenarios());
    scenarios.extend(isolation::scenarios());
    scenarios.extend(bounds::scenarios());
    scenarios.extend(patience::scenarios());
    scenarios.extend(failures::scenarios());
    scenarios.extend(malformed::scenarios());
    scenarios.extend(ending::scenarios());
    scenarios.extend(health::scenarios());
    scenarios.extend(outgoing::scenarios());
    scenarios.extend(stalls::scenarios());
    scenarios.extend(lookups::scenarios());
    scenarios.extend(policy::scenarios());
    scenarios.extend(tls::scenarios());
    scenarios.extend(wasi03::scenarios());
    scenarios
}

/// A container `web` with the guest [`ALL`].
fn all(daemon: &Containerd) -> Run<'_> {
    daemon.run("web").args(ALL)
}

/// The same, with annotations: `timeout` stands for `lighter.wasm/http.timeout`.
fn set<'a>(daemon: &'a Containerd, settings: &[(&str, &str)]) -> Run<'a> {
    settings
        .iter()
        .fold(all(daemon), |run, (name, value)| run.annotation(&format!("lighter.wasm/http.{name}"), value))
}
