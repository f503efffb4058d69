//! The cases, by subject.

mod mounts;
mod namespaces;
mod power;
mod resources;

use crate::case::Case;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [mounts::CASES, namespaces::CASES, power::CASES, resources::CASES].into_iter().flatten()
}
