//! Work that makes its thread wait in the kernel, on a thread beside the daemon's only other one.

use tokio::task::spawn_blocking;

/// Has `work` done by the second thread, one piece after the other, and waits for it.
///
/// # Errors
/// That of the work.
pub async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(anyhow::anyhow!("the shim failed inside: {error}")))
}
