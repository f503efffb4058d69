//! What WasmEdge logs, kept for the sentence that a failure is told in. By itself WasmEdge would write it
//! to the guest's standard output.

use std::error::Error;
use std::slice;
use std::sync::{Mutex, PoisonError};

use wasmedge_sys::ffi;

/// What was logged since [`clear`], a line each.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// More than this says nothing new.
const MOST_LINES: usize = 16;

/// Has WasmEdge log errors here and nowhere else.
pub fn open() {
    // SAFETY: both only set what WasmEdge logs and to whom; `note` lives as long as the program.
    unsafe {
        ffi::WasmEdge_LogSetErrorLevel();
        ffi::WasmEdge_LogSetCallback(Some(note));
    }
}

/// Forgets what was logged.
pub fn clear() {
    lines().clear();
}

/// What was logged, on one line, or else the error's own words, which say less.
pub fn explained(error: &dyn Error) -> String {
    let lines = lines();
    if lines.is_empty() { error.to_string() } else { lines.join("; ") }
}

fn lines() -> std::sync::MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn note(message: *const ffi::WasmEdge_LogMessage) {
    // SAFETY: WasmEdge hands a message that is whole until this returns.
    let (level, text) = unsafe {
        let text = (*message).Message;
        ((*message).Level, slice::from_raw_parts(text.Buf.cast::<u8>(), text.Length as usize))
    };
    if level < ffi::WasmEdge_LogLevel_Error {
        return;
    }
    let text = String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = lines();
    if !text.is_empty() && lines.len() < MOST_LINES && !lines.contains(&text) {
        lines.push(text);
    }
}
