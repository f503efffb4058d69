//! Rules for the sources that no compiler checks. Reads files and `cargo metadata`; builds and runs nothing.
//!
//! Each check takes its input as an argument and returns its findings, `file:line: sentence`, so that the checks
//! themselves have tests. `tests/tidy.rs` applies them all to this repository.

pub mod arrows;
pub mod blocking;
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
pub mod words;

/// One finding: `file:line: sentence`.
pub fn finding(path: &str, line: usize, sentence: impl std::fmt::Display) -> String {
    format!("{path}:{line}: {sentence}")
}
