//! The process's own standard streams, given to the guest without a buffer and without a thread.
//!
//! The descriptors may share their open file description with others (a terminal is one for all
//! three), so nothing here changes their flags: input is asked for readiness before each read.

mod input;
mod output;

use std::io;

pub use input::Stdin;
pub use output::Output;
use wasmtime_wasi::p2::StreamError;

/// The most that one read or write is asked to carry.
const CHUNK: usize = 64 * 1024;

/// Guests get the errno back from the `io::Error`.
fn failed(error: io::Error) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}
