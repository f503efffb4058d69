//! The floor's daemon: a fork of `start` that serves until its last task is deleted.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use containerd_shim_protos::shim_async::create_task;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use ttrpc::asynchronous::{Server, Service};

use crate::events::Events;
use crate::task::Floor;

/// Forks the daemon and returns in its parent.
///
/// # Errors
/// When there cannot be another process.
pub fn fork(listener: UnixListener, socket: &Path, namespace: &str) -> anyhow::Result<()> {
    #[expect(unsafe_code, reason = "fork has no safe wrapper")]
    // SAFETY: this process has one thread, so the child is a whole copy of it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()).context("cannot fork the daemon"),
        0 => std::process::exit(i32::from(run(listener, socket, namespace).is_err())),
        _ => Ok(()),
    }
}

fn run(listener: UnixListener, socket: &Path, namespace: &str) -> anyhow::Result<()> {
    detach()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let floor = Arc::new(Floor::new(Events::to_containerd(namespace.to_owned())));
        serve(listener, floor).await
    });
    served.and(Ok(std::fs::remove_file(socket)?))
}

/// containerd waits until `start`'s output is closed.
fn detach() -> anyhow::Result<()> {
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

async fn serve(listener: UnixListener, floor: Arc<Floor>) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    #[expect(unsafe_code, reason = "ttrpc takes the listener as a number")]
    // SAFETY: the number comes from a listener that gave up its ownership just now.
    let server = unsafe { Server::new().add_unix_listener(listener.into_raw_fd()) };
    let mut server = server.map_err(io::Error::other)?.register_service(services(&floor));
    server.start().await.map_err(io::Error::other)?;
    floor.shutdown.notified().await;
    floor.events.flush().await;
    Ok(server.shutdown().await.map_err(io::Error::other)?)
}

/// The task service under both names that containerd uses.
fn services(floor: &Arc<Floor>) -> HashMap<String, Service> {
    let mut both = create_task(Arc::clone(floor) as Arc<_>);
    let older = create_task(Arc::clone(floor) as Arc<_>).into_values();
    both.extend(older.map(|service| ("containerd.task.v2.Task".to_owned(), service)));
    both
}
