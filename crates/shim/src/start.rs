//! `start`: the address of the pod's daemon on standard output, the daemon itself where there is none.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use container::cgroup::Folders;
use containerd_shim::Flags;
use rustix::process::Pid;
use serde::Deserialize;
use workload::{Options, Pod};

use crate::bootstrap::Bootstrap;
use crate::environment::ASKER;
use crate::socket::listen;
use crate::{companion, engines, options};

/// Prints the address, version 2 style: a plain line, which every containerd since 1.6 takes.
///
/// # Errors
/// When the bundle cannot be read or the socket not be made.
pub fn start(flags: &Flags) -> anyhow::Result<()> {
    let containerd = rustix::process::getppid();
    let bundle = env::current_dir().context("cannot tell the bundle's folder")?;
    let pod = pod_of(&bundle, &flags.id)?;
    let bootstrap = Bootstrap::read(flags)?;
    let socket = socket_of(&pod, flags, bootstrap.socket_dir.as_deref());
    let address = format!("unix://{}", socket.display());
    // containerd reads it when the shim is gone; the name is a convention of all shims.
    fs::write(bundle.join("address"), &address).context("cannot write the address file")?;
    if let Some(listener) = listen(&socket)? {
        // Those that are wrong are Create's to refuse, which is given them again.
        let options = options::read(bootstrap.options.as_ref(), "").unwrap_or_default();
        let begun = take_place(&options).and_then(|()| begin(listener, &options, containerd));
        if begun.is_err() {
            // Nobody listens on it. If it stays, the next start replaces it.
            let _ = fs::remove_file(&socket);
        }
        begun?;
    }
    io::stdout().write_all(address.as_bytes()).context("cannot print the address")
}

/// A pod's socket, in a folder that containerd names, or where all shims put theirs.
fn socket_of(pod: &Pod, flags: &Flags, folder: Option<&Path>) -> PathBuf {
    let address = containerd_shim::socket_address(&flags.address, &flags.namespace, &pod.0);
    let usual = PathBuf::from(address.strip_prefix("unix://").unwrap_or(&address));
    match (folder, usual.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => usual,
    }
}

/// Of all the spec only the annotations matter here, so only they are read.
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

/// What the daemon inherits, as from runc's shim: an OOM score just above containerd's, so that the kernel
/// ends a pod before it ends what all pods need; and the cgroup that the options name.
fn take_place(options: &Options) -> anyhow::Result<()> {
    const MOST: i32 = 1000;
    let parent = rustix::process::getppid().map_or(1, |parent| parent.as_raw_nonzero().get());
    let score = fs::read_to_string(format!("/proc/{parent}/oom_score_adj"))
        .context("cannot read containerd's OOM score")?;
    let score: i32 = score.trim().parse().context("containerd's OOM score is no number")?;
    fs::write("/proc/self/oom_score_adj", (score + 1).min(MOST).to_string())
        .context("cannot set the daemon's OOM score")?;
    let cgroup = &options.shim_cgroup;
    if cgroup.is_empty() {
        return Ok(());
    }
    let folders = Folders::at(Path::new(cgroup)).context("cannot move the daemon as ShimCgroup says")?;
    ensure!(folders.exists(), "cannot move the daemon as ShimCgroup says: there is no cgroup {cgroup}");
    folders.admit(std::process::id().cast_signed())
}

/// Has the C library keep one heap for all threads, mallopt(3): 140 KiB less for each pod.
const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// Executes the daemon, whose standard input is the socket it listens on. Clients that come before it does
/// wait there.
fn begin(listener: UnixListener, options: &Options, containerd: Option<Pid>) -> anyhow::Result<()> {
    // Who is gone before the daemon knows of it, nobody would miss.
    ensure!(rustix::process::getppid() == containerd, "containerd has gone, so nobody would ask the daemon");
    let containerd = containerd.map_or(0, |containerd| containerd.as_raw_nonzero().get());
    companion::execute(|daemon| {
        daemon.envs(engines::plugins(options));
        daemon.env(ONE_HEAP.0, ONE_HEAP.1);
        daemon.env(ASKER, containerd.to_string());
        daemon.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
        daemon.spawn().map(drop)
    })
}
