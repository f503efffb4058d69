//! Mutexes that are only held for single assignments.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, ignoring poison: each change is one assignment, so a panicking thread cannot have left it half-done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
