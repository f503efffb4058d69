//! The file systems a Wasm guest sees: the root file system, the spec's volumes and four devices.
//!
//! No /proc, no /sys, no terminals: a guest has no use for a view of the kernel. Everything of the host is opened
//! outside and handed to the guest's process, which sees no host to open it in.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use anyhow::{Context, bail};
use libcontainer::syscall::linux::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};
use nix::mount::MsFlags;
use oci_spec::runtime::Mount;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, makedev, mknodat, openat, statx};
use rustix::process::umask;
use workload::Workload;

use crate::idmap::IdMaps;
use crate::namespaces::Namespaces;
use crate::rootfs::beneath::find_or_make;
use crate::trees::{self, Depth};
use crate::volumes::{check_kinds, is_bind, propagation_of, propagation_of_root, source_of};

/// The devices of every guest; none stores or listens. Names and minor numbers; the major is 1.
const DEVICES: [(&str, u32); 4] = [("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)];

/// A container's root and its bind volumes, as detached mounts.
#[derive(Debug)]
pub struct Trees {
    root: OwnedFd,
    binds: Vec<OwnedFd>,
}

impl Trees {
    /// Opens them, in the host's mount namespace.
    ///
    /// # Errors
    /// Names what is missing, or cannot be id-mapped.
    pub fn open(workload: &Workload) -> anyhow::Result<Self> {
        let rootfs = workload.rootfs();
        let root = trees::copy(&rootfs, Depth::All)
            .with_context(|| format!("cannot find the root file system {}", rootfs.display()))?;
        // pivot_root refuses a shared mount: see `share_root`.
        let until_pivoted = match root_propagation(workload)? {
            MsFlags::MS_SHARED => MsFlags::MS_SLAVE,
            other => other,
        };
        trees::propagate(&root, until_pivoted | MsFlags::MS_REC)?;
        without_devices(&root)?;
        let binds = workload.volumes().filter(|volume| is_bind(volume));
        let binds = binds.map(|volume| {
            let source = source_of(workload, volume);
            open_bind(volume, &source).with_context(|| format!("cannot open the volume {}", source.display()))
        });
        Ok(Self { root, binds: binds.collect::<anyhow::Result<_>>()? })
    }

    /// The root, then the volumes in the spec's order.
    pub fn into_fds(self) -> Vec<OwnedFd> {
        std::iter::once(self.root).chain(self.binds).collect()
    }

    /// The numbers of their descriptors.
    pub(crate) fn numbers(&self) -> Vec<RawFd> {
        std::iter::once(&self.root).chain(&self.binds).map(AsRawFd::as_raw_fd).collect()
    }

    /// The reverse of [`Trees::into_fds`], in the process that received them.
    ///
    /// # Errors
    /// When there is no root among them.
    pub fn from_fds(fds: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut fds = fds.into_iter();
        let root = fds.next().context("the container was given no root")?;
        Ok(Self { root, binds: fds.collect() })
    }
}

fn root_propagation(workload: &Workload) -> anyhow::Result<MsFlags> {
    let linux = workload.spec.linux().as_ref();
    let asked = linux.and_then(|linux| linux.rootfs_propagation().as_deref());
    Ok(match asked.map(propagation_of_root).as_deref() {
        None | Some("slave") => MsFlags::MS_SLAVE,
        Some("shared") => MsFlags::MS_SHARED,
        Some("private") => MsFlags::MS_PRIVATE,
        Some("unbindable") => MsFlags::MS_UNBINDABLE,
        Some(other) => bail!("the spec's rootfsPropagation is {other:?}, which is none"),
    })
}

fn open_bind(volume: &Mount, source: &Path) -> anyhow::Result<OwnedFd> {
    let deep = volume.options().iter().flatten().any(|option| option == "rbind");
    let tree = trees::copy(source, if deep { Depth::All } else { Depth::Top })?;
    if let Some(maps) = IdMaps::of(volume.uid_mappings().as_deref(), volume.gid_mappings().as_deref()) {
        maps.apply(&tree).context("its users cannot be mapped")?;
    }
    // By default mounts propagate from the host, as with runc, and not back.
    trees::propagate(&tree, propagation_of(volume).unwrap_or(MsFlags::MS_SLAVE | MsFlags::MS_REC))?;
    Ok(tree)
}

/// Attaches everything, the root at `place`, in the caller's private mount namespace. Returns the root.
///
/// # Errors
/// Names the mount that failed.
pub(crate) fn build(
    workload: &Workload,
    namespaces: &Namespaces,
    trees: Trees,
    place: &Path,
) -> anyhow::Result<OwnedFd> {
    let Trees { root, binds } = trees;
    let mut binds = binds.into_iter();
    let label = workload.spec.linux().as_ref().and_then(|linux| linux.mount_label().as_deref());
    trees::attach(&root, place).context("cannot attach the root file system")?;
    make_dev(&root, label, namespaces.in_user()).context("cannot make the container's /dev")?;
    for volume in workload.volumes() {
        let mut mounted = || -> anyhow::Result<()> {
            let opened =
                if is_bind(volume) { Some(binds.next().context("it was not handed over")?) } else { None };
            let tree = trees::as_asked(volume, opened, label)?;
            if workload.trusts(volume.destination()) {
                trees::add(&tree, Depth::Top, MOUNT_ATTR_RDONLY)?;
            }
            let kind = kind_of(&tree)?;
            // A device that is mounted by itself is meant to be used; the cgroup decides whether it may be.
            if !kind.is_char_device() && !kind.is_block_device() {
                without_devices(&tree)?;
            }
            let target = find_or_make(&root, volume.destination(), kind.is_dir())?;
            check_kinds(kind.is_dir(), kind_of(&target)?.is_dir())?;
            Ok(trees::attach_onto(&tree, &target)?)
        };
        mounted().with_context(|| format!("cannot mount {}", volume.destination().display()))?;
    }
    Ok(root)
}

/// Creates the /dev of every guest. In a user namespace, where mknod is denied, it binds the host's devices.
fn make_dev(root: &OwnedFd, label: Option<&str>, in_user: bool) -> anyhow::Result<()> {
    let mut data = vec!["mode=755".to_owned(), "size=64k".to_owned()];
    data.extend(trees::label_option(label));
    let dev = trees::fresh("tmpfs", "tmpfs", &data)?;
    trees::add(&dev, Depth::Top, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)?;
    trees::attach_onto(&dev, &find_or_make(root, Path::new("/dev"), true)?)?;
    let before = umask(Mode::empty());
    let made = DEVICES.iter().try_for_each(|(name, minor)| {
        let rights = Mode::from_raw_mode(0o666);
        if !in_user {
            return mknodat(&dev, *name, FileType::CharacterDevice, rights, makedev(1, *minor));
        }
        let place = openat(&dev, *name, OFlags::CREATE | OFlags::CLOEXEC, rights)?;
        trees::attach_onto(&trees::copy(&Path::new("/dev").join(name), Depth::Top)?, &place)
    });
    umask(before);
    Ok(made?)
}

/// Makes device nodes in the tree impossible to open, whatever their origin.
fn without_devices(tree: &OwnedFd) -> anyhow::Result<()> {
    trees::add(tree, Depth::All, MOUNT_ATTR_NODEV)
}

fn kind_of(tree: &OwnedFd) -> io::Result<FileType> {
    let found = statx(tree, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(found.stx_mode.into()))
}

/// Makes `root` the root, and unmounts the old one.
///
/// # Errors
/// The kernel's error.
pub(crate) fn pivot(root: OwnedFd) -> anyhow::Result<()> {
    trees::pivot(&root).context("cannot change the root")
}

/// Makes the new root a shared mount if the spec asks for it; volumes keep their own propagation.
///
/// # Errors
/// The kernel's error.
pub(crate) fn share_root(workload: &Workload) -> anyhow::Result<()> {
    if root_propagation(workload)? != MsFlags::MS_SHARED {
        return Ok(());
    }
    let shared = trees::find(Path::new("/"))
        .map_err(Into::into)
        .and_then(|root| trees::propagate(&root, MsFlags::MS_SHARED));
    shared.context("cannot make the root a shared mount")
}

/// Makes the new root itself read-only; volumes keep their own options.
///
/// # Errors
/// The kernel's error.
pub(crate) fn make_root_readonly() -> anyhow::Result<()> {
    trees::find(Path::new("/"))
        .map_err(Into::into)
        .and_then(|root| trees::add(&root, Depth::Top, MOUNT_ATTR_RDONLY))
        .context("cannot make the root read-only")
}
