//! libFuzzer around one target, which the variable `FUZZ_TARGET` names; the arguments are libFuzzer's.

#![no_main]

use std::sync::{LazyLock, Mutex, PoisonError};

use fuzz::{Apart, target};
use libfuzzer_sys::fuzz_target;

// Set up by the first input. libFuzzer calls from one thread.
static TARGET: LazyLock<Mutex<Apart>> = LazyLock::new(|| {
    // The hook of libFuzzer's bindings aborts in the panicking thread, where the input cannot be written to disk.
    drop(std::panic::take_hook());
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let apart = target(&name).and_then(Apart::new);
    Mutex::new(apart.unwrap_or_else(|error| {
        eprintln!("fuzz: {error:#}");
        std::process::exit(1);
    }))
});

fuzz_target!(|input: &[u8]| {
    let target = TARGET.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = target.run(input) {
        eprintln!("fuzz: {error:#}");
        std::process::abort();
    }
});
