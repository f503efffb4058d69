//! Runs the conformance cases on WasmEdge.

use std::process::ExitCode;

fn main() -> ExitCode {
    conformance::main(engine_wasmedge::WasmEdge::new)
}
