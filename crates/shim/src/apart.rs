//! Work that makes its thread wait in the kernel, on a thread beside the daemon's first.

use std::{io, thread};

use tokio::task::spawn_blocking;

/// How many there are at most. Two do mostly: a container's code is looked for while its cgroup is made. Where files come
/// slowly, or a log's disk is stuck, those who wait for that leave some to the others of the pod.
pub const THREADS: usize = 64;
/// What such a thread is given as a stack, in bytes: it reads and writes some files.
pub const STACK: usize = 256 << 10;

/// Has `work` done by another thread, which begins at once; what is returned waits for it.
///
/// # Errors
/// That of the work.
pub fn apart<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> impl Future<Output = anyhow::Result<T>> {
    let begun = spawn_blocking(work);
    async { begun.await.unwrap_or_else(|error| Err(anyhow::anyhow!("the shim failed inside: {error}"))) }
}

/// Has `work` done by a thread of its own, for which nobody waits.
///
/// # Errors
/// When there can be no further thread.
pub fn beside(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().stack_size(STACK).spawn(work).map(drop)
}
