//! Collects WasmEdge's log for error messages. By default WasmEdge would write it to the guest's standard output.

use std::error::Error;
use std::slice;
use std::sync::{Mutex, PoisonError};

use wasmedge_sys::ffi;

/// The lines logged since [`clear`].
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Further lines are dropped.
const MAX_LINES: usize = 16;

/// Makes WasmEdge log errors here and nowhere else.
pub fn open() {
    // SAFETY: both only set WasmEdge's log level and callback; `note` lives as long as the program.
    unsafe {
        ffi::WasmEdge_LogSetErrorLevel();
        ffi::WasmEdge_LogSetCallback(Some(note));
    }
}

/// Discards the log.
pub fn clear() {
    lines().clear();
}

/// The log on one line or, if it is empty, the error itself, which has less detail.
pub fn explained(error: &dyn Error) -> String {
    let lines = lines();
    if lines.is_empty() { error.to_string() } else { lines.join("; ") }
}

fn lines() -> std::sync::MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn note(message: *const ffi::WasmEdge_LogMessage) {
    // SAFETY: WasmEdge passes a message that is valid until this returns.
    let (level, text) = unsafe {
        let text = (*message).Message;
        ((*message).Level, slice::from_raw_parts(text.Buf.cast::<u8>(), text.Length as usize))
    };
    if level < ffi::WasmEdge_LogLevel_Error {
        return;
    }
    let text = String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = lines();
    if !text.is_empty() && lines.len() < MAX_LINES && !lines.contains(&text) {
        lines.push(text);
    }
}
