//! A server of the tests on its own thread, until it is dropped.

use std::future::Future;
use std::thread::{self, JoinHandle};

use anyhow::Result;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// A server that stops when this value is dropped.
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts `work` in a runtime of its own.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn start<W: Future<Output = Result<()>>>(work: impl FnOnce() -> W + Send + 'static) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    Err(error) = work() => eprintln!("a server of the tests: {error:#}"),
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been reported already.
            drop(thread.join());
        }
    }
}
