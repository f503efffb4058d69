//! Serving: the daemon of a pod from its start to its shutdown; one thread and one ttrpc server.

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

use crate::apart::{STACK, THREADS};
use crate::asker::Asker;
use crate::daemon::Daemon;
use crate::events::Events;
use crate::nursery::{self, Nursery};
use crate::rpc::TaskApi;
use crate::{log_fifo, socket};

/// The first number that is none of standard input, output and error.
const FIRST_FREE: i32 = 3;
/// How long the other threads stay when they have nothing to do: as long as a few containers at once take.
const THREAD_STAYS: Duration = Duration::from_millis(100);

/// How long work that has begun may take when the daemon ends.
const LAST_WORK: Duration = Duration::from_secs(10);

/// Serves the pod until it is shut down, on the socket that is standard input. The working directory is the
/// bundle of the pod's first container, to whose log it writes.
///
/// # Errors
/// When a part of it could not be set up. That is logged: nobody reads what a daemon prints.
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
    // Before the runtime: a fork is only sound while there is one thread.
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
    // Code that is being kept has its time; who waits for a disk that is stuck is not waited for.
    runtime.shutdown_timeout(LAST_WORK);
    served
}

/// Leaves everything of `start` behind: its session, its folder, and its output, whose end
/// containerd waits for.
fn detach() -> anyhow::Result<()> {
    rustix::process::setsid().context("cannot make a session")?;
    std::env::set_current_dir("/").context("cannot leave the bundle's folder")?;
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
    // First, so that a `start` from here on makes a daemon of its own instead of finding a dying one.
    socket::with_lock(socket, || std::fs::remove_file(socket)).context("cannot remove the socket")?;
    daemon.events.flush().await;
    server.shutdown().await.map_err(io::Error::other).context("cannot stop the server")
}

/// A daemon that was asked for nothing when its containerd is gone ends, and nothing is left of it.
async fn end_if_forgotten(daemon: Arc<Daemon>, asker: Asker) {
    let bundle = match asker.gone().await {
        Ok(bundle) => bundle,
        Err(error) => return log::warn!("cannot await containerd's end: {error}"),
    };
    if !daemon.asked.load(Ordering::Relaxed) {
        log::info!("containerd was gone before it asked for anything: this daemon ends");
        bundle.remove();
        daemon.shutdown.notify_one();
    }
}

/// Without it other pods start as slowly as this one did.
async fn keep_namespace(nursery: Arc<Nursery>) {
    if let Err(error) = nursery.keep_namespace().await {
        log::warn!("{error:#}");
    }
}

/// The task service under the names of both its versions, which have the same messages. Services
/// that containerd probes for are there without methods, so that it hears UNIMPLEMENTED; for a
/// service it does not know ttrpc would answer INVALID_ARGUMENT.
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
