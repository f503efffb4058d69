//! Replays every input of the corpus: what was found interesting or wrong once stays right.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use fuzz::{Apart, TARGETS, target};

/// Replays the inputs of a target, by name. There is at least one.
fn check(name: &str) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut inputs: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty());
    let apart = Apart::new(target(name).unwrap()).unwrap();
    for input in inputs {
        apart.run(&fs::read(&input).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
    }
    apart.run(b"").unwrap();
}

/// A test for each target.
macro_rules! replay {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn no_target_is_left_out() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

replay! { modules text specs settings options messages http names answers sockets guests }
