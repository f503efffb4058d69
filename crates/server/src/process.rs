//! The process of a guest that answers requests: its threads, its server, and where it is told to end.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};
use workload::Http;

use crate::{Answer, Drained, Server};

/// A server at its gate, with the threads that it runs on.
pub struct Process {
    server: Server,
    runtime: Runtime,
    stop: Option<AsyncFd<OwnedFd>>,
}

impl Process {
    /// Starts as many threads as `settings` allow. Serves `socket` until `stop` is readable.
    ///
    /// # Errors
    /// When there can be no further thread; names the file of the certificate that cannot be read or used.
    pub fn new(settings: Http, socket: OwnedFd, stop: Option<OwnedFd>) -> anyhow::Result<Self> {
        let runtime = runtime(threads(&settings))?;
        let stop = stop.map(|stop| watched(&runtime, stop)).transpose()?;
        Ok(Self { server: Server::new(settings, socket)?, runtime, stop })
    }

    /// Serves until it is told to end. Returns the exit code: 0, or, where requests were cut off, that of a program which
    /// SIGTERM ended.
    ///
    /// # Errors
    /// See [`Server::run`].
    pub fn run<A: Answer>(self, answer: A) -> anyhow::Result<u8> {
        const CUT: u8 = 143;
        let Self { server, runtime, stop } = self;
        let stopped = async {
            match &stop {
                // What cannot be waited for is as good as there: nobody must wait for ever.
                Some(stop) => drop(stop.readable().await),
                None => std::future::pending().await,
            }
        };
        let served = runtime.block_on(server.run(Arc::new(answer), stopped));
        // What still runs is not waited for.
        runtime.shutdown_background();
        Ok(match served? {
            Drained::Whole => 0,
            Drained::Cut => CUT,
        })
    }
}

/// As many as the container may use cores.
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
    // SAFETY: the descriptor is owned by what watches it, and nobody else knows its number.
    let watched = unsafe { AsyncFd::register_with_interest(stop, Interest::READABLE) };
    watched.map_err(std::io::Error::from).context("cannot watch for the end")
}
