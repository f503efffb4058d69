//! What must stay true of the sources and no compiler checks. Reads files and `cargo metadata`;
//! builds and runs nothing.
//!
//! Each check takes what it reads as an argument and returns its findings, `file:line: sentence`,
//! so that a check can itself be tested. `tests/tidy.rs` applies them all to this repository.

pub mod apart;
pub mod arrows;
pub mod circles;
pub mod docs;
pub mod layout;
pub mod metadata;
pub mod names;
pub mod once;
pub mod supply;
pub mod text;
pub mod tokens;
pub mod tree;
pub mod unsafety;

/// One finding: `file:line: sentence`.
pub fn finding(path: &str, line: usize, sentence: impl std::fmt::Display) -> String {
    format!("{path}:{line}: {sentence}")
}
