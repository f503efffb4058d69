//! The file systems a Wasm guest sees: the root file system, the spec's volumes and four devices.
//!
//! No /proc, no /sys, no terminals: a guest has no use for a view of the kernel. Whatever is the host's is
//! opened outside and handed to the guest's process, which has no host in sight to open it in.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};
use libcontainer::syscall::linux::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttr,
};
use nix::mount::MsFlags;
use oci_spec::runtime::Mount;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, makedev, mknodat, openat, statx};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{fchdir, pivot_root, umask};
use workload::Workload;

use crate::idmap::IdMaps;
use crate::namespaces::Namespaces;
use crate::rootfs::{find_below, find_or_make_folder, holder};
use crate::trees::{self, Depth, UNCHANGED};

/// What every guest may open: nothing that stores, nothing that listens. Their minor numbers; the major is 1.
const DEVICES: [(&str, u32); 4] = [("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)];

/// A container's root and the volumes that are binds, opened outside and attached nowhere.
#[derive(Debug)]
pub struct Trees {
    root: OwnedFd,
    binds: Vec<OwnedFd>,
}

impl Trees {
    /// Opens them, in the host's mount namespace.
    ///
    /// # Errors
    /// Names what is not there, or cannot belong to the container's users.
    pub fn open(workload: &Workload) -> anyhow::Result<Self> {
        let rootfs = workload.rootfs();
        let root = trees::copy(&rootfs, Depth::All)
            .with_context(|| format!("cannot find the root file system {}", rootfs.display()))?;
        let linux = workload.spec.linux().as_ref();
        let asked = linux.and_then(|linux| linux.rootfs_propagation().as_deref());
        let propagation = match asked.map(propagation_of_root).as_deref() {
            None | Some("slave") => MsFlags::MS_SLAVE,
            Some("shared") => MsFlags::MS_SHARED,
            Some("private") => MsFlags::MS_PRIVATE,
            Some("unbindable") => MsFlags::MS_UNBINDABLE,
            Some(other) => bail!("the spec's rootfsPropagation is {other:?}, which is none"),
        };
        trees::propagate(&root, propagation | MsFlags::MS_REC)?;
        without_devices(&root)?;
        let binds = workload.volumes().filter(|volume| is_bind(volume));
        let binds = binds.map(|volume| {
            let source = workload.bundle.join(volume.source().as_deref().unwrap_or(Path::new("")));
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

    /// The same in the process they were handed to.
    ///
    /// # Errors
    /// When there is no root among them.
    pub fn from_fds(fds: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut fds = fds.into_iter();
        let root = fds.next().context("the container was given no root")?;
        Ok(Self { root, binds: fds.collect() })
    }
}

fn open_bind(volume: &Mount, source: &Path) -> anyhow::Result<OwnedFd> {
    let deep = volume.options().iter().flatten().any(|option| option == "rbind");
    let tree = trees::copy(source, if deep { Depth::All } else { Depth::Top })?;
    if let Some(maps) = IdMaps::of(volume.uid_mappings().as_deref(), volume.gid_mappings().as_deref()) {
        maps.apply(&tree).context("its users cannot be mapped")?;
    }
    // Without a word about it mounts of the host's come in, as with runc, and none gets out.
    trees::propagate(&tree, propagation_of(volume).unwrap_or(MsFlags::MS_SLAVE | MsFlags::MS_REC))?;
    Ok(tree)
}

/// Attaches everything, the root at `place`, in a mount namespace that is the caller's alone. Returns the root.
///
/// # Errors
/// Names the mount that failed.
pub(crate) fn build(workload: &Workload, trees: Trees, place: &Path) -> anyhow::Result<OwnedFd> {
    let Trees { root, binds } = trees;
    let mut binds = binds.into_iter();
    let label = workload.spec.linux().as_ref().and_then(|linux| linux.mount_label().as_deref());
    trees::attach(&root, place).context("cannot attach the root file system")?;
    make_dev(&root, label, Namespaces::of(&workload.spec).in_user())
        .context("cannot make the container's /dev")?;
    for volume in workload.volumes() {
        let mut mounted = || -> anyhow::Result<()> {
            let opened =
                if is_bind(volume) { Some(binds.next().context("it was not handed over")?) } else { None };
            let tree = trees::as_asked(volume, opened, label)?;
            if workload.believes(volume.destination()) {
                trees::set(&tree, Depth::Top, &MountAttr { attr_set: MOUNT_ATTR_RDONLY, ..UNCHANGED })?;
            }
            let kind = kind_of(&tree)?;
            // One that the spec shows by itself is meant; what the cgroup says of it counts.
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

/// Checks that a volume and what it is to lie over are both folders, or neither. In words that Docker knows.
///
/// # Errors
/// Says which is what.
pub(crate) fn check_kinds(volume_is_folder: bool, folder_is_there: bool) -> anyhow::Result<()> {
    let word = |is_folder: bool| if is_folder { "folder" } else { "file" };
    ensure!(
        volume_is_folder == folder_is_there,
        "not a directory: the volume is a {}, and the image has a {} there",
        word(volume_is_folder),
        word(folder_is_there)
    );
    Ok(())
}

/// The /dev of every guest. In a user namespace, which may make no devices, the host's are shown.
fn make_dev(root: &OwnedFd, label: Option<&str>, in_user: bool) -> anyhow::Result<()> {
    let mut data = vec!["mode=755".to_owned(), "size=64k".to_owned()];
    data.extend(trees::label_option(label));
    let dev = trees::fresh("tmpfs", "tmpfs", &data)?;
    trees::set(
        &dev,
        Depth::Top,
        &MountAttr { attr_set: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, ..UNCHANGED },
    )?;
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

/// Device nodes in it are files that cannot be opened, whoever put them there.
fn without_devices(tree: &OwnedFd) -> anyhow::Result<()> {
    trees::set(tree, Depth::All, &MountAttr { attr_set: MOUNT_ATTR_NODEV, ..UNCHANGED })
}

fn kind_of(tree: &OwnedFd) -> io::Result<FileType> {
    let found = statx(tree, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(found.stx_mode.into()))
}

/// What a mount is to cover, made where the image has it not.
fn find_or_make(root: &OwnedFd, destination: &Path, folder: bool) -> anyhow::Result<OwnedFd> {
    let below = &cleaned(destination);
    ensure!(!below.as_os_str().is_empty(), "nothing can be mounted over the root");
    if folder {
        return find_or_make_folder(root, below);
    }
    match find_below(root, below) {
        Err(rustix::io::Errno::NOENT) => {}
        found => return Ok(found?),
    }
    let name = below.file_name().context("its path has no end")?;
    let holder = holder(root, below)?;
    let holder = holder.as_ref().unwrap_or(root);
    let new = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(openat(holder, name, new, Mode::from_raw_mode(0o644))?)
}

/// A path below the root, as runc reads it: `..` takes the name before it away.
fn cleaned(path: &Path) -> PathBuf {
    let mut below = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => below.push(name),
            Component::ParentDir => drop(below.pop()),
            _ => {}
        }
    }
    below
}

/// Makes `root` the root and lets go of what was.
///
/// # Errors
/// What the kernel says.
pub(crate) fn pivot(root: OwnedFd) -> anyhow::Result<()> {
    let pivoted = || {
        fchdir(&root)?;
        // The old root then lies over the new one, which has no place of its own for it.
        pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")
    };
    pivoted().context("cannot change the root")
}

/// Makes the new root itself read-only; volumes keep their own rights.
///
/// # Errors
/// What the kernel says.
pub(crate) fn make_root_readonly() -> anyhow::Result<()> {
    let root = openat(rustix::fs::CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    trees::set(&root, Depth::Top, &MountAttr { attr_set: MOUNT_ATTR_RDONLY, ..UNCHANGED })
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_mount_covers_is_made_inside_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("root/inner")).unwrap();
        fs::create_dir(at("outside")).unwrap();
        symlink("/inner", at("root/absolute")).unwrap();
        symlink("../../outside", at("root/escape")).unwrap();
        symlink("nowhere", at("root/dangling")).unwrap();
        let root = fs::File::open(at("root")).unwrap().into();
        let make = |path: &str, folder| find_or_make(&root, Path::new(path), folder).is_ok();
        assert!(make("/a/b/c", true) && at("root/a/b/c").is_dir());
        assert!(make("/a/b/file", false) && at("root/a/b/file").is_file());
        assert!(make("/absolute/deep/file", false) && at("root/inner/deep/file").is_file());
        assert!(make("/inner", true) && make("/a/b/file", false), "what is there is found");
        assert!(make("/a/../../inner/./new", true) && at("root/inner/new").is_dir());
        for refused in ["/", "/dangling", "/escape/x", "/dangling/x", "/a/b/file/x", "/a/.."] {
            assert!(!make(refused, true), "{refused}");
        }
        assert_eq!(fs::read_dir(at("outside")).unwrap().count(), 0);
    }
}
