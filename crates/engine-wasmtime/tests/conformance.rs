//! Wasmtime passes the contract of engines, and stands in no row of its table.

use std::process::ExitCode;

fn main() -> ExitCode {
    conformance::main(engine_wasmtime::Wasmtime::new)
}
