//! One file per world: what it links, how a guest of it begins.

mod component;
mod incoming;
mod preview1;
mod wasi02;

pub use component::Host;
pub use incoming::Incoming;
pub use preview1::Preview1;
pub use wasi02::Wasi02;

/// What an entrypoint cannot be: `World::detect` said no before, so this is for callers that did not ask it.
fn takes_parameters(name: &str, parameters: usize) -> anyhow::Error {
    anyhow::anyhow!(
        "its function {name:?} takes {parameters} parameters; only functions without any can be an entrypoint"
    )
}
