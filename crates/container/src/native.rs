//! Linux programs: the pod's pause, a sidecar, any image that holds no Wasm. libcontainer does it.
//!
//! libcontainer changes its caller's folder and forks, so each function here is for a short-lived
//! process of its own, forked from the nursery as a child of the daemon.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::sched::{CloneFlags, setns};
use workload::Workload;

use crate::mounts::sentence;
use crate::namespaces::Namespaces;
use crate::{loopback, rootfs};

/// Where libcontainer keeps what it knows of the container, inside the bundle.
fn state_root(bundle: &Path) -> PathBuf {
    bundle.join("native")
}

/// Makes the container, whose first process becomes the caller's sibling and waits to be started.
/// Returns its id in the host's pid namespace.
///
/// # Errors
/// A sentence from libcontainer; nothing of the container is left.
pub fn create(workload: &Workload, [stdin, stdout, stderr]: [OwnedFd; 3]) -> anyhow::Result<i32> {
    let bundle = state_root(&workload.bundle);
    write_bundle(workload, &bundle)?;
    let container = ContainerBuilder::new(workload.id.clone(), SyscallType::default())
        .with_root_path(&bundle)
        .and_then(|builder| {
            builder
                .with_executor(crate::program::Program)
                .with_stdin(stdin)
                .with_stdout(stdout)
                .with_stderr(stderr)
                .as_init(&bundle)
                .with_systemd(workload.options.systemd_cgroup)
                .with_detach(true)
                .as_sibling(true)
                .build()
        })
        .map_err(|error| anyhow!("cannot create the container: {}", sentence(&error)))?;
    let pid = container.pid().context("libcontainer made a container without a process")?.as_raw();
    if Namespaces::of(&workload.spec).new_network() {
        bring_up_loopback(pid).context("cannot bring up the loopback interface")?;
    }
    Ok(pid)
}

/// Lets the container's process go on to its program, then runs the `poststart` hooks.
///
/// # Errors
/// A sentence from libcontainer.
pub fn start(workload: &Workload) -> anyhow::Result<()> {
    load(workload)?.start().map_err(|error| anyhow!("cannot start the container: {}", sentence(&error)))
}

/// Removes what is left of an ended container, its cgroup among it, and runs the `poststop` hooks.
/// A container that was never made is removed already.
///
/// # Errors
/// A sentence from libcontainer.
pub fn delete(workload: &Workload) -> anyhow::Result<()> {
    if !state_root(&workload.bundle).join(&workload.id).join("state.json").exists() {
        return Ok(());
    }
    load(workload)?.delete(true).map_err(|error| anyhow!("cannot delete the container: {}", sentence(&error)))
}

fn load(workload: &Workload) -> anyhow::Result<Container> {
    Container::load(state_root(&workload.bundle).join(&workload.id))
        .map_err(|error| anyhow!("cannot read the container's state: {}", sentence(&error)))
}

/// A bundle of libcontainer's own: the spec with an absolute root, and with HOME where the image's
/// environment has none. libcontainer would ask the C library, which could load code from the image.
fn write_bundle(workload: &Workload, folder: &Path) -> anyhow::Result<()> {
    let mut spec = workload.spec.clone();
    let rootfs = workload.rootfs();
    if let Some(root) = spec.root_mut() {
        root.set_path(rootfs.clone());
    }
    if let Some(process) = spec.process_mut() {
        let mut env = process.env().clone().unwrap_or_default();
        if !env.iter().any(|pair| pair.starts_with("HOME=")) {
            let home = rootfs::home_of(&rootfs, process.user().uid());
            env.push(format!("HOME={}", home.display()));
        }
        process.set_env(Some(env));
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("config.json");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer(std::io::BufWriter::new(file), &spec)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// For the last act of this short-lived process: it does not come back from the namespace.
fn bring_up_loopback(pid: i32) -> anyhow::Result<()> {
    setns(File::open(format!("/proc/{pid}/ns/net"))?, CloneFlags::CLONE_NEWNET)?;
    Ok(loopback::up()?)
}
