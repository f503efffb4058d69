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

/// The error's own words, then what was logged and says more, on one line.
pub fn explained(error: &dyn Error) -> String {
    let lines = lines();
    let said = error.to_string();
    let more = lines.iter().filter(|line| !said.contains(line.as_str()));
    std::iter::once(&said).chain(more).map(String::as_str).collect::<Vec<_>>().join("; ")
}

fn lines() -> std::sync::MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn note(message: *const ffi::WasmEdge_LogMessage) {
    // SAFETY: WasmEdge hands a message that is whole until this returns.
    let text = unsafe {
        let text = (*message).Message;
        slice::from_raw_parts(text.Buf.cast::<u8>(), text.Length as usize)
    };
    let text = String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = lines();
    if !text.is_empty() && lines.len() < MOST_LINES && !lines.contains(&text) {
        lines.push(text);
    }
}
