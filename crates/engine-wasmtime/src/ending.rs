//! Runs a guest to its end: the event loop around it, and the exit for each of Wasmtime's errors.

use std::io::ErrorKind;

use anyhow::{Context, anyhow};
use engine::Exit;
use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};
use wasmtime::{Error, Store, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::limits::Bounded;

/// An event loop on the calling thread.
///
/// # Errors
/// When epoll cannot be set up.
pub fn event_loop() -> anyhow::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    runtime.context("cannot set up the guest's event loop")
}

/// Runs a guest to its end; `guest` returns the exit code, unless it calls exit or traps.
pub fn run<T: Bounded>(
    runtime: &Runtime,
    mut store: Store<T>,
    guest: impl AsyncFnOnce(&mut Store<T>) -> wasmtime::Result<u8>,
) -> Exit {
    match runtime.block_on(guest(&mut store)) {
        Ok(code) => Exit::Code(code),
        Err(error) => match (error.downcast_ref::<I32Exit>(), store.data_mut().memory().refused()) {
            // The low eight bits, as in the kernel.
            (Some(I32Exit(code)), _) => Exit::Code(code.to_le_bytes()[0]),
            (None, None) if has_no_room(&error) => Exit::Trap(format!("{}{NO_ROOM}", story(&error))),
            (None, None) => Exit::Trap(story(&error)),
            (None, Some(refusal)) => Exit::OutOfMemory(format!("{refusal}\n{}", story(&error))),
        },
    }
}

/// For ENOMEM of the kernel's before the guest ran: a growth by the guest itself just fails.
const NO_ROOM: &str =
    ": the guest's memories and stack have no room within its RLIMIT_DATA or RLIMIT_AS, or on the node";

fn has_no_room(error: &Error) -> bool {
    let is_enomem = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::OutOfMemory)
            || cause.downcast_ref::<Errno>() == Some(&Errno::NOMEM)
    };
    error.downcast_ref::<WasmBacktrace>().is_none() && error.chain().any(is_enomem)
}

/// The reason, then the Wasm frames on lines of their own.
pub fn story(error: &Error) -> String {
    let frames = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
    let reasons: Vec<_> = error.chain().map(ToString::to_string).filter(|reason| *reason != frames).collect();
    let frames = frames.trim_start_matches("error while executing at ");
    format!("{}\n{frames}", reasons.join(": ")).trim_end().to_owned()
}

/// An error of Wasmtime's and its causes, on one line.
pub fn sentence(error: Error) -> anyhow::Error {
    let words = format!("{error:#}");
    anyhow!(words.split_whitespace().collect::<Vec<_>>().join(" "))
}
