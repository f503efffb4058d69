//! One file per world: what it links, and how its guests are run.

mod hosted;
mod incoming;
mod once;
mod preview1;

pub use hosted::Hosted;
pub use incoming::Incoming;
pub use once::Once;
pub use preview1::Preview1;

/// The error for an invalid entrypoint. `World::detect` rejects those first; this is for callers that did not use it.
fn takes_parameters(name: &str, parameters: usize) -> anyhow::Error {
    anyhow::anyhow!(
        "its function {name:?} takes {parameters} parameters; only functions without any can be an entrypoint"
    )
}
