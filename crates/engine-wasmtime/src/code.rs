//! Compiled bytes become code. The only unsafe code of this crate.

use engine::Compiled;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::ending::sentence;

/// Maps a core module.
///
/// # Errors
/// When the code was made for another processor, version or configuration.
pub fn module(engine: &Engine, code: Compiled) -> anyhow::Result<Module> {
    // SAFETY: `Compiled` vouches that Wasmtime::compile of this build made the bytes and that they do not change.
    unsafe { Module::deserialize_open_file(engine, code.into_file()) }.map_err(unusable)
}

/// Maps a component.
///
/// # Errors
/// See [`module`].
pub fn component(engine: &Engine, code: Compiled) -> anyhow::Result<Component> {
    // SAFETY: as for `module`.
    unsafe { Component::deserialize_open_file(engine, code.into_file()) }.map_err(unusable)
}

fn unusable(error: wasmtime::Error) -> anyhow::Error {
    sentence(error).context("cannot map the compiled code")
}
