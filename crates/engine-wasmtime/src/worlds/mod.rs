//! One file per world: what it links, how a guest of it begins.

mod hosted;
mod incoming;
mod once;
mod preview1;

pub use hosted::Hosted;
pub use incoming::Incoming;
pub use once::Once;
pub use preview1::Preview1;

/// What an entrypoint cannot be: `World::detect` said no before, so this is for callers that did not ask it.
fn takes_parameters(name: &str, parameters: usize) -> anyhow::Error {
    anyhow::anyhow!(
        "its function {name:?} takes {parameters} parameters; only functions without any can be an entrypoint"
    )
}
