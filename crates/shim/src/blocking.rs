//! Runs blocking work on threads other than the daemon's first.

use std::{io, thread};

use tokio::task::spawn_blocking;

/// The maximum number of these threads. Most of the time two are enough: one looks up a container's code while the
/// other makes its cgroup. The rest are for slow files and stuck log disks, so that they do not block other containers
/// of the pod.
pub const THREADS: usize = 64;
/// The stack size of such a thread, in bytes: it only reads and writes files.
pub const STACK: usize = 256 << 10;

/// Starts `work` on another thread at once; the returned future waits for it.
///
/// # Errors
/// The error of `work`; when it panicked.
pub fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> impl Future<Output = anyhow::Result<T>> {
    let begun = spawn_blocking(work);
    async { begun.await.unwrap_or_else(|error| Err(anyhow::anyhow!("the shim failed inside: {error}"))) }
}

/// Runs `work` on a detached thread.
///
/// # Errors
/// When no thread can be created.
pub fn detached(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().stack_size(STACK).spawn(work).map(drop)
}
