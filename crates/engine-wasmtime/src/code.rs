//! Maps compiled bytes as code.

use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::ensure;
use engine::Compiled;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::ending::sentence;

/// Maps a core module.
///
/// # Errors
/// When the code was compiled for another processor, version or configuration.
pub fn module(engine: &Engine, code: Compiled) -> anyhow::Result<Module> {
    // SAFETY: `Compiled` vouches that Wasmtime::compile of this build made the bytes and that they do not change.
    unsafe { Module::deserialize_open_file(engine, code.into_file()) }.map_err(unusable)
}

/// Maps a component. Wasmtime 48 opens a component's file only by a path, so /proc must be mounted.
///
/// # Errors
/// See [`module`].
pub fn component(engine: &Engine, code: Compiled) -> anyhow::Result<Component> {
    let file = code.into_file();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    ensure!(Path::new(&path).exists(), "cannot map the compiled code: /proc is out of sight");
    // SAFETY: as for `module`; the path is the open file itself, whatever its name.
    unsafe { Component::deserialize_file(engine, path) }.map_err(unusable)
}

fn unusable(error: wasmtime::Error) -> anyhow::Error {
    sentence(error).context("cannot map the compiled code")
}
