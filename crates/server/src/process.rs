//! The process of a guest that answers requests: its threads, its server, and its stop signal.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};
use workload::Http;

use crate::{Drained, Handler, Server};

/// A server that is ready to run, with its threads.
pub struct Process {
    server: Server,
    runtime: Runtime,
    stop: Option<AsyncFd<OwnedFd>>,
}

impl Process {
    /// Starts as many threads as `settings` allow. Serves `socket` until `stop` is readable.
    ///
    /// # Errors
    /// When a thread cannot be started; names the certificate or key file that cannot be read or used.
    pub fn new(settings: Http, socket: OwnedFd, stop: Option<OwnedFd>) -> anyhow::Result<Self> {
        let runtime = runtime(threads(&settings))?;
        let stop = stop.map(|stop| watched(&runtime, stop)).transpose()?;
        Ok(Self { server: Server::new(settings, socket)?, runtime, stop })
    }

    /// Serves until `stop` is readable. Returns the exit code: 0, or, if requests were cut off, 143, as of a program
    /// that SIGTERM ended.
    ///
    /// # Errors
    /// See [`Server::run`].
    pub fn run<H: Handler>(self, handler: H) -> anyhow::Result<u8> {
        const CUT: u8 = 143;
        let Self { server, runtime, stop } = self;
        let stopped = async {
            match &stop {
                // An error counts as readable, so that the server never runs for ever.
                Some(stop) => drop(stop.readable().await),
                None => std::future::pending().await,
            }
        };
        let served = runtime.block_on(server.run(Arc::new(handler), stopped));
        // Does not wait for tasks that still run.
        runtime.shutdown_background();
        Ok(match served? {
            Drained::Whole => 0,
            Drained::Cut => CUT,
        })
    }
}

/// The number of worker threads: one per core that the container may use.
pub fn threads(settings: &Http) -> NonZeroUsize {
    let all = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    settings.cores.map_or(all, |cores| cores.min(all))
}

fn runtime(threads: NonZeroUsize) -> anyhow::Result<Runtime> {
    let alone = threads == NonZeroUsize::MIN;
    let mut builder = if alone { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads.get()).enable_io().enable_time();
    builder.build().context("cannot start the server's threads")
}

fn watched(runtime: &Runtime, stop: OwnedFd) -> anyhow::Result<AsyncFd<OwnedFd>> {
    let _inside = runtime.enter();
    // SAFETY: the AsyncFd owns the descriptor, and nothing else uses its number.
    let watched = unsafe { AsyncFd::register_with_interest(stop, Interest::READABLE) };
    watched.map_err(std::io::Error::from).context("cannot watch for the end")
}
