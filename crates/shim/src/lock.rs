//! Locks that are held for an assignment.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what no thread can have left half-changed: each change is one assignment.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
