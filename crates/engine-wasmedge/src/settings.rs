//! The configurations of WasmEdge, for compiling and for running.

use anyhow::Context;
use wasmedge_sdk::config::{
    CommonConfigOptions, CompilerConfigOptions, Config, ConfigBuilder, RuntimeConfigOptions,
};
use wasmedge_sdk::{CompilerOptimizationLevel, CompilerOutputFormat, RunMode, WasmEdgeResult};

/// The size of a page of linear memory, in bytes.
const PAGE: u64 = 64 << 10;
/// The maximum number of pages of a 32-bit memory.
const MAX_PAGES: u32 = 1 << 16;

/// The text of this file: any change of it invalidates cached code.
pub const VERSION: &str = include_str!("settings.rs");

/// For compiling: to a shared library, which is mapped and not copied. No interruption checks, since a signal ends the
/// process.
///
/// # Errors
/// When WasmEdge is out of memory.
pub fn compiling() -> anyhow::Result<Config> {
    let options = CompilerConfigOptions::new()
        .out_format(CompilerOutputFormat::Native)
        .optimization_level(CompilerOptimizationLevel::O2)
        .interruptible(false);
    build(ConfigBuilder::new(CommonConfigOptions::default()).with_compiler_config(options))
}

/// For running compiled code with at most `bytes` of linear memory.
///
/// # Errors
/// When WasmEdge is out of memory.
pub fn running(bytes: u64) -> anyhow::Result<Config> {
    let options = RuntimeConfigOptions::new().max_memory_pages(pages(bytes)).allow_afunix(true);
    build(
        ConfigBuilder::new(CommonConfigOptions::default().run_mode(RunMode::Aot))
            .with_runtime_config(options),
    )
}

/// The same for instances that are created one by one.
///
/// # Errors
/// When WasmEdge is out of memory.
pub fn instances(bytes: u64) -> WasmEdgeResult<wasmedge_sys::Config> {
    let mut config = wasmedge_sys::Config::create()?;
    config.set_max_memory_pages(pages(bytes));
    config.set_run_mode(RunMode::Aot);
    Ok(config)
}

/// The number of whole pages in `bytes`.
pub fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes / PAGE).map_or(MAX_PAGES, |pages| pages.min(MAX_PAGES))
}

fn build(builder: ConfigBuilder) -> anyhow::Result<Config> {
    builder.build().context("cannot configure WasmEdge")
}
