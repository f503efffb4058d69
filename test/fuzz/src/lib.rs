//! Fuzzing: one target for each kind of input that comes from tenants, images or the network.
//!
//! A target is our own code, called as the shim calls it, with bytes of a form it parses. It may reject them, and must
//! not panic, wait, or violate its own contract. The program in `fuzzer` runs libFuzzer on it (`make fuzz`);
//! `tests/replay.rs` runs the inputs in `corpus`, in every run of the tests.
//!
//! Unsafe code: `targets::guests` only (it vouches for code that it compiled itself).

mod apart;
mod targets;

pub use apart::Apart;

/// Runs one input.
pub type Run = Box<dyn FnMut(&[u8])>;

/// Sets a target up, in the thread that will call it.
pub type Target = fn() -> anyhow::Result<Run>;

/// Every target with its name, which is that of its directory in `corpus`.
pub const TARGETS: [(&str, Target); 11] = [
    ("modules", targets::modules::make),
    ("text", targets::text::make),
    ("specs", targets::specs::make),
    ("settings", targets::settings::make),
    ("options", targets::options::make),
    ("messages", targets::messages::make),
    ("http", targets::http::make),
    ("names", targets::names::make),
    ("answers", targets::answers::make),
    ("sockets", targets::sockets::make),
    ("guests", targets::guests::make),
];

/// The target of this name.
///
/// # Errors
/// Lists the names of all targets.
pub fn target(name: &str) -> anyhow::Result<Target> {
    let names = || TARGETS.map(|(name, _)| name).join(" ");
    let found = TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
    found.ok_or_else(|| anyhow::anyhow!("there is no target {name:?}; there are {}", names()))
}
