//! `start`: prints the address of the pod's daemon, and starts that daemon if there is none.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use container::cgroup::CgroupDirs;
use containerd_shim::Flags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
use serde::Deserialize;
use workload::{Options, Pod};

use crate::bootstrap::Bootstrap;
use crate::environment::ASKER;
use crate::socket::listen;
use crate::{companion, engines, options};

/// Prints the address in the format of shim version 2: a plain line, which every containerd since 1.6 accepts.
///
/// # Errors
/// When the bundle cannot be read or the socket cannot be made.
pub fn start(flags: &Flags) -> anyhow::Result<()> {
    let containerd = rustix::process::getppid();
    let bundle = env::current_dir().context("cannot find the path of the bundle")?;
    let pod = pod_of(&bundle, &flags.id)?;
    let bootstrap = Bootstrap::read(flags)?;
    let socket = socket_of(&pod, flags, bootstrap.socket_dir.as_deref());
    let address = format!("unix://{}", socket.display());
    // containerd reads this file when the shim is gone; all shims use this name.
    fs::write(bundle.join("address"), &address).context("cannot write the address file")?;
    if let Some(listener) = listen(&socket)? {
        // Create receives the same options, and rejects wrong ones.
        let options = options::read(bootstrap.options.as_ref(), "").unwrap_or_default();
        let begun = take_place(&options).and_then(|()| begin(listener, &options, containerd));
        if begun.is_err() {
            // No process listens on it. If it stays, the next start replaces it.
            let _ = fs::remove_file(&socket);
        }
        begun?;
    }
    io::stdout().write_all(address.as_bytes()).context("cannot print the address")
}

/// The path of a pod's socket: in `dir`, if containerd names one, otherwise where all shims put theirs.
fn socket_of(pod: &Pod, flags: &Flags, dir: Option<&Path>) -> PathBuf {
    let address = containerd_shim::socket_address(&flags.address, &flags.namespace, &pod.0);
    let default = PathBuf::from(address.strip_prefix("unix://").unwrap_or(&address));
    match (dir, default.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => default,
    }
}

/// The pod of the container. It reads nothing of the spec but the annotations.
fn pod_of(bundle: &Path, id: &str) -> anyhow::Result<Pod> {
    #[derive(Deserialize)]
    struct Annotated {
        #[serde(default)]
        annotations: HashMap<String, String>,
    }
    let path = bundle.join("config.json");
    let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let spec: Annotated = serde_json::from_reader(io::BufReader::new(file))
        .with_context(|| format!("{} is not an OCI runtime spec", path.display()))?;
    Ok(Pod::of(id, &spec.annotations))
}

/// Sets what the daemon inherits, as runc's shim does: an OOM score just above containerd's, so that the kernel kills a
/// pod before containerd; and the cgroup that the options name.
fn take_place(options: &Options) -> anyhow::Result<()> {
    const MAX: i32 = 1000;
    let parent = rustix::process::getppid().map_or(1, |parent| parent.as_raw_nonzero().get());
    let score = fs::read_to_string(format!("/proc/{parent}/oom_score_adj"))
        .context("cannot read containerd's OOM score")?;
    let score: i32 = score.trim().parse().context("containerd's OOM score is no number")?;
    fs::write("/proc/self/oom_score_adj", (score + 1).min(MAX).to_string())
        .context("cannot set the daemon's OOM score")?;
    let cgroup = &options.shim_cgroup;
    if cgroup.is_empty() {
        return Ok(());
    }
    let dirs = CgroupDirs::at(Path::new(cgroup)).context("cannot move the daemon as ShimCgroup says")?;
    ensure!(dirs.exists(), "cannot move the daemon as ShimCgroup says: there is no cgroup {cgroup}");
    dirs.admit(std::process::id().cast_signed())
}

/// Makes the C library use one heap for all threads, mallopt(3): saves 140 KiB per pod.
const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// Whether standard output is a pipe that no process reads.
fn reader_is_gone() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    // An error says nothing about the reader.
    let _ = poll(&mut polled, Some(&Timespec::default()));
    polled[0].revents().contains(PollFlags::ERR)
}

/// Executes the daemon with the listening socket as its standard input. Early clients wait in the socket's backlog.
fn begin(listener: UnixListener, options: &Options, containerd: Option<Pid>) -> anyhow::Result<()> {
    // The daemon watches for containerd's exit, but cannot notice one before its own start. An orphan's parent may be
    // another from the beginning: then the pipe for the address has lost its reader.
    ensure!(
        rustix::process::getppid() == containerd && !reader_is_gone(),
        "containerd is gone, so no client would use the daemon"
    );
    let containerd = containerd.map_or(0, |containerd| containerd.as_raw_nonzero().get());
    companion::execute(|daemon| {
        daemon.envs(engines::plugins(options));
        daemon.env(ONE_HEAP.0, ONE_HEAP.1);
        daemon.env(ASKER, containerd.to_string());
        daemon.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
        daemon.spawn().map(drop)
    })
}
