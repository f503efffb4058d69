//! The contract that every engine passes, on WasmEdge.

use std::process::ExitCode;

fn main() -> ExitCode {
    conformance::main(engine_wasmedge::WasmEdge::new)
}
