//! The configurations of WasmEdge, for compiling and for running.

use anyhow::Context;
use wasmedge_sdk::config::{
    CommonConfigOptions, CompilerConfigOptions, Config, ConfigBuilder, RuntimeConfigOptions,
};
use wasmedge_sdk::{CompilerOptimizationLevel, CompilerOutputFormat, RunMode, WasmEdgeResult};

/// The size of a page of linear memory, in bytes.
const PAGE: u64 = 64 << 10;
/// How many of them 32 bits can address.
const MOST_PAGES: u32 = 1 << 16;

/// The text of this file: what was compiled under another may be of no use.
pub const VERSION: &str = include_str!("settings.rs");

/// For compiling: a shared library, which is mapped and not copied. No checks for interruption, since a signal
/// ends the process.
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

/// The same for instances that are made one by one.
///
/// # Errors
/// When WasmEdge is out of memory.
pub fn instances(bytes: u64) -> WasmEdgeResult<wasmedge_sys::Config> {
    let mut config = wasmedge_sys::Config::create()?;
    config.set_max_memory_pages(pages(bytes));
    config.set_run_mode(RunMode::Aot);
    Ok(config)
}

/// Whole pages in so many bytes.
pub fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes / PAGE).map_or(MOST_PAGES, |pages| pages.min(MOST_PAGES))
}

fn build(builder: ConfigBuilder) -> anyhow::Result<Config> {
    builder.build().context("cannot configure WasmEdge")
}
