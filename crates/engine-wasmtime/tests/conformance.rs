//! Runs the conformance cases on Wasmtime, which has no row in their table of differences.

use std::process::ExitCode;

fn main() -> ExitCode {
    conformance::main(engine_wasmtime::Wasmtime::new)
}
