//! Runs a pod's daemon from its start to its shutdown: one thread with one ttrpc server.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use containerd_shim::Flags;
use containerd_shim_protos::shim_async::create_task;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};
use ttrpc::asynchronous::{Server, Service};

use crate::asker::Asker;
use crate::blocking::{STACK, THREADS};
use crate::daemon::Daemon;
use crate::events::Events;
use crate::nursery::{self, Nursery};
use crate::rpc::TaskApi;
use crate::{log_fifo, socket};

/// The first descriptor after standard input, output and error.
const FIRST_FREE: i32 = 3;
/// How long the threads for blocking work stay idle before they exit: as long as it takes to create a few containers.
const THREAD_STAYS: Duration = Duration::from_millis(100);

/// How long blocking work in progress may take when the daemon exits.
const LAST_WORK: Duration = Duration::from_secs(10);

/// Serves the pod until its shutdown, on the listening socket that is standard input. The working directory is the
/// bundle of the pod's first container, to whose log it writes.
///
/// # Errors
/// When the daemon could not be set up. The error is logged too, since no one reads a daemon's standard error.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    log_fifo::open(Path::new("."), flags.debug);
    let done = listen(flags);
    if let Err(error) = &done {
        log::error!("the daemon ended: {error:#}");
    }
    done
}

fn listen(flags: &Flags) -> anyhow::Result<()> {
    let listener = UnixListener::from(fcntl_dupfd_cloexec(stdin(), FIRST_FREE)?);
    let address = listener.local_addr().context("standard input is no socket")?;
    let socket = address.as_pathname().context("the socket has no path")?;
    let asker = Asker::find();
    detach()?;
    // Before the runtime: forking is only sound while there is one thread.
    let forked = nursery::fork(socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(THREADS)
        .thread_keep_alive(THREAD_STAYS)
        .thread_stack_size(STACK)
        .build()
        .context("cannot make the daemon's runtime")?;
    let served = runtime.block_on(async {
        let nursery = Nursery::adopt(forked).context("cannot await the nursery")?;
        let events = Events::to_containerd(flags.namespace.clone());
        serve(listener, socket, asker, Daemon::new(nursery, events, flags.namespace.clone())).await
    });
    // Gives code that is being written to the cache some time, but does not wait for a stuck disk.
    runtime.shutdown_timeout(LAST_WORK);
    served
}

/// Detaches from `start`: from its session, its working directory and its standard streams, on whose EOF containerd
/// waits.
fn detach() -> anyhow::Result<()> {
    rustix::process::setsid().context("cannot make a session")?;
    std::env::set_current_dir("/").context("cannot leave the directory of the bundle")?;
    let null = File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

async fn serve(
    listener: UnixListener,
    socket: &Path,
    asker: Option<Asker>,
    daemon: Daemon,
) -> anyhow::Result<()> {
    let daemon = Arc::new(daemon);
    listener.set_nonblocking(true)?;
    #[expect(unsafe_code, reason = "ttrpc takes the listener as a number")]
    // SAFETY: the number comes from a listener that gave up its ownership just now.
    let server = unsafe { Server::new().add_unix_listener(listener.into_raw_fd()) };
    let mut server = server.map_err(io::Error::other)?.register_service(services(&daemon));
    server.start().await.map_err(io::Error::other).context("cannot serve ttrpc")?;
    tokio::spawn(keep_namespace(Arc::clone(&daemon.nursery)));
    if let Some(asker) = asker {
        tokio::spawn(end_if_forgotten(Arc::clone(&daemon), asker));
    }
    daemon.shutdown.notified().await;
    // First, so that a `start` from now on makes a new daemon instead of finding one that shuts down.
    socket::with_lock(socket, || std::fs::remove_file(socket)).context("cannot remove the socket")?;
    daemon.events.flush().await;
    server.shutdown().await.map_err(io::Error::other).context("cannot stop the server")
}

/// Shuts the daemon down, and removes its bundle, if its containerd exited before it requested a Create.
async fn end_if_forgotten(daemon: Arc<Daemon>, asker: Asker) {
    let bundle = match asker.gone().await {
        Ok(bundle) => bundle,
        Err(error) => return log::warn!("cannot await containerd's end: {error}"),
    };
    if !daemon.create_requested.load(Ordering::Relaxed) {
        log::info!("containerd was gone before it asked for anything: this daemon ends");
        bundle.remove();
        daemon.shutdown.notify_one();
    }
}

/// Pins the nursery's mount namespace for later pods, which start faster with it.
async fn keep_namespace(nursery: Arc<Nursery>) {
    if let Err(error) = nursery.keep_namespace().await {
        log::warn!("{error:#}");
    }
}

/// The task service under the names of both its versions, which have the same messages. The services that containerd
/// probes for are registered without methods, so that it receives UNIMPLEMENTED; for an unknown service ttrpc would
/// return INVALID_ARGUMENT.
fn services(daemon: &Arc<Daemon>) -> HashMap<String, Service> {
    const TASK_V2: &str = "containerd.task.v2.Task";
    const PROBED: [&str; 2] =
        ["containerd.runtime.sandbox.v1.Sandbox", "containerd.services.streaming.v1.Streaming"];
    let api = Arc::new(TaskApi(Arc::clone(daemon)));
    let mut all = create_task(Arc::clone(&api) as Arc<_>);
    all.extend(create_task(api as Arc<_>).into_values().map(|service| (TASK_V2.to_owned(), service)));
    all.extend(
        PROBED.map(|name| (name.to_owned(), Service { methods: HashMap::new(), streams: HashMap::new() })),
    );
    all
}
