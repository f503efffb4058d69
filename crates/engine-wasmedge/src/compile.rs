//! Compiles Wasm to a shared library, by WasmEdge's compiler.

use std::fs;

use anyhow::{Context, anyhow};
use wasmedge_sdk::Compiler;
use wasmedge_sdk::error::{CoreError, WasmEdgeError};
use workload::without_custom_sections;

use crate::{journal, settings};

/// `AOTNotImpl` of WasmEdge 0.17, for which its Rust crate has no name.
const NOT_IMPLEMENTED: u32 = 14;

/// What WasmEdge logs when it is out of memory.
const NO_MEMORY: &str = "memory allocation failure";

/// Compiles a core module. The compiler writes temporary files to the current directory.
///
/// # Errors
/// A sentence that names what is not valid.
pub fn compile(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    // A custom section may hold precompiled code of the image's, which WasmEdge would run as its own.
    let plain = without_custom_sections(wasm)?;
    let dir = tempfile::tempdir_in(".").context("cannot make a directory to compile in")?;
    let compiler =
        Compiler::new(Some(&settings::compiling()?)).context("cannot set up WasmEdge's compiler")?;
    journal::clear();
    let library = compiler.compile_from_bytes(plain, "code", dir.path()).map_err(|error| match *error {
        WasmEdgeError::Core(CoreError::UnknownError(NOT_IMPLEMENTED)) => {
            anyhow!("WasmEdge cannot compile it: it has instructions that only its interpreter knows")
        }
        error => match journal::explained(&error) {
            // Aborts, as any Rust program that is out of memory; the parent reports what to do.
            reason if reason.contains(NO_MEMORY) => std::process::abort(),
            reason => anyhow!("WasmEdge cannot compile it: {reason}"),
        },
    })?;
    fs::read(library).context("cannot read the compiled code")
}
