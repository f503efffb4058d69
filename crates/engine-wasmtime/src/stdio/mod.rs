//! The process's own standard streams as the guest's, without a buffer and without a thread.
//!
//! The descriptors may share their open file description with other processes (a terminal is one for all three), so
//! nothing here sets O_NONBLOCK: input is polled before each read instead.

mod input;
mod output;

use std::io;

pub use input::Stdin;
pub use output::Output;
use wasmtime_wasi::p2::StreamError;

/// The largest read or write, in bytes.
const CHUNK: usize = 64 * 1024;

/// Wasmtime gives guests the errno of the `io::Error`.
fn failed(error: io::Error) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}
