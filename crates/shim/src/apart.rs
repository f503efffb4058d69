//! Work that makes its thread wait in the kernel, on a thread beside the daemon's first.

use std::thread;

use tokio::task::spawn_blocking;

/// What such a thread is given as a stack, in bytes: it reads and writes some files.
pub const STACK: usize = 256 << 10;

/// Has `work` done by the second thread, one piece after the other, and waits for it.
///
/// # Errors
/// That of the work.
pub async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(anyhow::anyhow!("the shim failed inside: {error}")))
}

/// Has `work` done by a thread of its own, for which nobody waits.
pub fn beside(work: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().stack_size(STACK).spawn(work) {
        log::debug!("cannot make a thread: {error}");
    }
}
