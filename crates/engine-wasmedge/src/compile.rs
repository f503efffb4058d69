//! Wasm into a shared library, by WasmEdge's compiler.

use std::fs;

use anyhow::{Context, anyhow};
use wasmedge_sdk::Compiler;
use wasmedge_sdk::error::{CoreError, WasmEdgeError};
use workload::without_custom_sections;

use crate::{journal, settings};

/// `AOTNotImpl` of WasmEdge 0.17, which its crate for Rust has no name for.
const NOT_IMPLEMENTED: u32 = 14;

/// How WasmEdge tells that it is out of memory.
const NO_MEMORY: &str = "memory allocation failure";

/// Compiles a core module. The compiler's own files are written to the current folder meanwhile.
///
/// # Errors
/// A sentence that tells what of the module is not valid.
pub fn compile(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    // Among them may be code that somebody else compiled, which WasmEdge would run as its own.
    let plain = without_custom_sections(wasm)?;
    let folder = tempfile::tempdir_in(".").context("cannot make a folder to compile in")?;
    let compiler =
        Compiler::new(Some(&settings::compiling()?)).context("cannot set up WasmEdge's compiler")?;
    journal::clear();
    let library =
        compiler.compile_from_bytes(plain, "code", folder.path()).map_err(|error| match *error {
            WasmEdgeError::Core(CoreError::UnknownError(NOT_IMPLEMENTED)) => {
                anyhow!("WasmEdge cannot compile it: it has instructions that only its interpreter knows")
            }
            error => match journal::explained(&error) {
                // As every program here ends that is out of memory; who waits for it says what to do.
                said if said.contains(NO_MEMORY) => std::process::abort(),
                said => anyhow!("WasmEdge cannot compile it: {said}"),
            },
        })?;
    fs::read(library).context("cannot read the compiled code")
}
