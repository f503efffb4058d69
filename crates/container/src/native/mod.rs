//! Linux programs: the pod's pause container, a sidecar, any image without Wasm. Run by libcontainer.
//!
//! libcontainer changes its caller's working directory and forks, so each function here must run in a short-lived
//! process of its own, forked from the nursery as a child of the daemon.

mod mounted;
mod spec;

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use nix::sched::{CloneFlags, setns};
use workload::Workload;

use crate::cgroup::{self, Cgroup};
use crate::namespaces::Namespaces;
use crate::rootfs::additions::make_cwd;
use crate::sentence::sentence;
use crate::{exec, keyring, loopback, stage};

/// The bundle for libcontainer, inside containerd's.
fn own_bundle(workload: &Workload) -> PathBuf {
    workload.bundle.join("native")
}

/// Where libcontainer keeps the container's state: in the bundle, unless the options name a directory.
fn state_root(workload: &Workload) -> PathBuf {
    match workload.options.root.as_str() {
        "" => own_bundle(workload),
        root => PathBuf::from(root),
    }
}

/// Creates the container. Its first process becomes the caller's sibling and waits to be started. Returns its pid in
/// the host's namespace and the master side of its terminal, if it has one.
///
/// # Errors
/// A sentence from libcontainer; nothing of the container is left.
pub fn create(workload: &Workload, stdio: [OwnedFd; 3]) -> anyhow::Result<(i32, Option<OwnedFd>)> {
    let bundle = own_bundle(workload);
    fs::create_dir_all(&bundle).with_context(|| format!("cannot make {}", bundle.display()))?;
    make_cwd(workload)?;
    let namespaces = Namespaces::of(&workload.spec);
    spec::write(workload, &namespaces, &bundle, &stage::volumes(workload, &namespaces)?)?;
    keyring::join(workload)?;
    let console = if workload.terminal() { Some(Console::listen(&bundle)?) } else { None };
    let built = build(workload, stdio, console.as_ref().map(|console| console.path.clone()));
    let container = built.or_else(|error| {
        stage::check_kinds(workload)?;
        Err(anyhow!("cannot create the container: {}", sentence(&error)))
    })?;
    let pid = container.pid().context("libcontainer made a container without a process")?.as_raw();
    if namespaces.new_network() {
        bring_up_loopback(pid).context("cannot bring up the loopback interface")?;
    }
    let terminal = console.map(Console::receive).transpose()?;
    cgroup::complete(workload, &cgroup::dirs_of(workload, pid)?)?;
    // From here on, this process sees the container's files.
    mounted::complete(workload, &namespaces, pid)?;
    Ok((pid, terminal))
}

fn build(
    workload: &Workload,
    [stdin, stdout, stderr]: [OwnedFd; 3],
    console: Option<PathBuf>,
) -> Result<Container, LibcontainerError> {
    let bundle = own_bundle(workload);
    ContainerBuilder::new(workload.id.clone(), SyscallType::default())
        .with_root_path(state_root(workload))?
        .with_executor(crate::program::Program)
        .with_stdin(stdin)
        .with_stdout(stdout)
        .with_stderr(stderr)
        .with_console_socket(console)
        .as_init(&bundle)
        .with_systemd(cgroup::is_by_systemd(workload))
        .with_detach(true)
        .as_sibling(true)
        .build()
}

/// The socket to which libcontainer sends the master side of a container's terminal.
struct Console {
    socket: UnixListener,
    path: PathBuf,
}

impl Console {
    fn listen(bundle: &Path) -> anyhow::Result<Self> {
        // Through an open directory: a socket's path holds 107 bytes, and the bundle's may be longer.
        let dir = File::open(bundle)?;
        let name = format!("/proc/self/fd/{}/console.sock", dir.as_raw_fd());
        let socket = UnixListener::bind(name).context("cannot make the terminal's socket")?;
        Ok(Self { socket, path: bundle.join("console.sock") })
    }

    /// Does not block: it was sent while the container was created.
    fn receive(self) -> anyhow::Result<OwnedFd> {
        self.socket.set_nonblocking(true)?;
        let (stream, _) = self.socket.accept().context("the container's process sent no terminal")?;
        // The name is no longer needed, and harmless.
        let _ = fs::remove_file(self.path);
        exec::received(&stream.into())
    }
}

/// Starts the container's program, then runs the `poststart` hooks.
///
/// # Errors
/// A sentence from libcontainer.
pub fn start(workload: &Workload) -> anyhow::Result<()> {
    load(workload)?.start().map_err(|error| anyhow!("cannot start the container: {}", sentence(&error)))
}

/// Removes what is left of an ended container, including its cgroup, and runs the `poststop` hooks. If its creation
/// was interrupted, before libcontainer recorded it, or its bundle is gone, only the cgroup is left.
///
/// # Errors
/// A sentence from libcontainer, or about the cgroup.
pub fn delete(workload: &Workload) -> anyhow::Result<()> {
    let state = state_root(workload).join(&workload.id);
    let known = || state.join("state.json").exists();
    let delete = || {
        let failed = |error| anyhow!("cannot delete the container: {}", sentence(&error));
        load(workload)?.delete(true).map_err(failed)
    };
    let remove = || Cgroup::of(workload).and_then(|cgroup| cgroup.remove());
    let deleted = if known() && delete().is_ok() {
        // libcontainer finds v1 hierarchies by their controllers only.
        if cgroup::is_by_systemd(workload) { Ok(()) } else { remove() }
    } else {
        // libcontainer gives up on a cgroup whose processes take a moment to end.
        remove().and_then(|()| if known() { delete() } else { Ok(()) })
    };
    // What libcontainer left or only began: a new container of this id must find nothing.
    match fs::remove_dir_all(&state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            deleted.and(Err(error).with_context(|| format!("cannot remove {}", state.display())))
        }
        _ => deleted,
    }
}

fn load(workload: &Workload) -> anyhow::Result<Container> {
    Container::load(state_root(workload).join(&workload.id))
        .map_err(|error| anyhow!("cannot read the container's state: {}", sentence(&error)))
}

/// Must be the last step of this short-lived process: it stays in the container's namespace.
fn bring_up_loopback(pid: i32) -> anyhow::Result<()> {
    setns(File::open(format!("/proc/{pid}/ns/net"))?, CloneFlags::CLONE_NEWNET)?;
    Ok(loopback::up()?)
}
