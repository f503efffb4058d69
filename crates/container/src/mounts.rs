//! The file systems a Wasm guest sees: the root file system, the spec's volumes and four devices.
//!
//! No /proc, no /sys, no terminals: a guest has no use for a view of the kernel.

use std::path::{Path, PathBuf};

use anyhow::Context;
use libcontainer::rootfs::{Device, RootFS};
use libcontainer::syscall::syscall::create_syscall;
use nix::mount::{MsFlags, mount};
use oci_spec::runtime::{
    LinuxBuilder, LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType, Mount, MountBuilder, Spec,
};
use workload::Workload;

/// Mounts everything below `rootfs`, in a mount namespace that is the caller's alone.
///
/// # Errors
/// Names the mount that failed.
pub(crate) fn build(workload: &Workload, rootfs: &Path) -> anyhow::Result<()> {
    let spec = reduced(workload)?;
    let linux = spec.linux().as_ref().context("the reduced spec has a linux part")?;
    RootFS::new().mount_to_rootfs(linux, &spec, rootfs, false).map_err(|error| {
        anyhow::anyhow!("cannot mount the container's file systems: {}", sentence(&error))
    })?;
    let in_user_namespace = crate::namespaces::Namespaces::of(&workload.spec).in_user();
    Device::new()
        .create_devices(rootfs, &devices()?, in_user_namespace)
        .map_err(|error| anyhow::anyhow!("cannot make the container's devices: {}", sentence(&error)))
}

/// Makes `rootfs` the root and lets go of the host's.
///
/// # Errors
/// When `rootfs` is not a mount point, or the kernel refuses.
pub(crate) fn pivot(rootfs: &Path) -> anyhow::Result<()> {
    create_syscall()
        .pivot_rootfs(rootfs)
        .with_context(|| format!("cannot make {} the root", rootfs.display()))
}

/// Makes the new root itself read-only; volumes keep their own rights.
///
/// # Errors
/// What the kernel says.
pub(crate) fn make_root_readonly() -> anyhow::Result<()> {
    let kept = nix::sys::statvfs::statvfs("/").context("cannot read the root's mount flags")?.flags();
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    // A remount that leaves out a flag which is locked in a user namespace is refused.
    let kept = MsFlags::from_bits_truncate(kept.bits())
        & (MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC);
    mount(None::<&str>, "/", None::<&str>, flags | kept, None::<&str>)
        .context("cannot make the root read-only")
}

/// How mounts below the root's may come and go, in libcontainer's words: it means all that lies below, too.
pub(crate) fn propagation_of_root(name: &str) -> String {
    name.strip_prefix('r').unwrap_or(name).to_owned()
}

/// Whether a mount shows a folder or a file of the host's.
pub(crate) fn is_bind(mount: &Mount) -> bool {
    mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind")
}

/// How mounts below a volume may come and go, as its options say; `None` where they say nothing.
pub(crate) fn propagation_of(mount: &Mount) -> Option<MsFlags> {
    let flag = |option: &String| {
        let (name, deep) = match option.strip_prefix('r') {
            Some(name) => (name, MsFlags::MS_REC),
            None => (option.as_str(), MsFlags::empty()),
        };
        Some(
            deep | match name {
                "private" => MsFlags::MS_PRIVATE,
                "slave" => MsFlags::MS_SLAVE,
                "shared" => MsFlags::MS_SHARED,
                "unbindable" => MsFlags::MS_UNBINDABLE,
                _ => return None,
            },
        )
    };
    mount.options().iter().flatten().filter_map(flag).next_back()
}

/// Lets mounts below each volume come and go as the spec says. In the finished root, whose links lead
/// nowhere else.
///
/// # Errors
/// Names the volume.
pub(crate) fn propagate(workload: &Workload) -> anyhow::Result<()> {
    for volume in workload.volumes() {
        let Some(flags) = propagation_of(volume) else { continue };
        let path = Path::new("/").join(volume.destination());
        mount(None::<&str>, &path, None::<&str>, flags, None::<&str>)
            .with_context(|| format!("cannot set the propagation of {}", path.display()))?;
    }
    Ok(())
}

/// The spec with only what a Wasm box mounts: a /dev of its own, then the volumes.
fn reduced(workload: &Workload) -> anyhow::Result<Spec> {
    let dev = MountBuilder::default()
        .destination(PathBuf::from("/dev"))
        .typ("tmpfs")
        .source(PathBuf::from("tmpfs"))
        .options(["nosuid", "noexec", "strictatime", "mode=755", "size=64k"].map(String::from))
        .build()?;
    let mounts: Vec<Mount> = std::iter::once(dev).chain(workload.volumes().cloned()).collect();
    let mut linux = LinuxBuilder::default().build()?;
    let given = workload.spec.linux().as_ref();
    let propagation = given.and_then(|linux| linux.rootfs_propagation().as_deref());
    linux.set_rootfs_propagation(propagation.map(propagation_of_root));
    linux.set_mount_label(given.and_then(|linux| linux.mount_label().clone()));
    let mut spec = Spec::default();
    spec.set_mounts(Some(mounts)).set_linux(Some(linux));
    Ok(spec)
}

/// What every guest may open: nothing that stores, nothing that listens.
fn devices() -> anyhow::Result<Vec<LinuxDevice>> {
    let device = |path: &str, minor| {
        let built = LinuxDeviceBuilder::default()
            .path(PathBuf::from(path))
            .typ(LinuxDeviceType::C)
            .major(1)
            .minor(minor)
            .file_mode(0o666_u32)
            .build();
        built.context("a device of our own list is complete")
    };
    [("/dev/null", 3), ("/dev/zero", 5), ("/dev/random", 8), ("/dev/urandom", 9)]
        .into_iter()
        .map(|(path, minor)| device(path, minor))
        .collect()
}

/// An error and its causes in one line, each said once.
pub(crate) fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let words = cause.to_string().replace('\n', " ");
        if !said.last().is_some_and(|before| before.contains(&words)) {
            said.push(words);
        }
        next = cause.source();
    }
    said.join(": ")
}
