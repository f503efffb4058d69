//! The root file system in the bundle, before the box is built: mounting it as containerd asks, finding
//! paths in it without leaving it, and letting go of it afterwards.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use libcontainer::rootfs::utils::parse_mount;
use nix::mount::{MsFlags, mount};
use oci_spec::runtime::MountBuilder;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{UnmountFlags, unmount};
use workload::Workload;

use crate::idmap::IdMaps;
use crate::mounts::sentence;
use crate::trees::attach;

/// One mount of the snapshot that containerd made, in the words of its own API.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The type of file system, `overlay` or `bind` mostly.
    pub kind: &'a str,
    /// What is mounted.
    pub source: &'a str,
    /// Flags and data as fstab writes them.
    pub options: &'a [String],
}

/// Mounts a snapshot at `target`, which is made where it is missing.
///
/// # Errors
/// Names the snapshot and what the kernel said.
pub fn mount_snapshot(snapshot: Snapshot<'_>, target: &Path) -> anyhow::Result<()> {
    let Snapshot { kind, source, options } = snapshot;
    let failed = || format!("cannot mount the root file system ({kind} {source}) at {}", target.display());
    std::fs::create_dir_all(target).with_context(failed)?;
    let (maps, options) = take_maps(options);
    let spec =
        MountBuilder::default().destination(target).typ(kind).source(source).options(options).build()?;
    let parsed = parse_mount(&spec).map_err(|error| anyhow!("{}: {}", failed(), sentence(&error)))?;
    let data = match &maps {
        Some(maps) if kind == "overlay" => map_layers(maps, parsed.data, target).with_context(failed)?,
        _ => parsed.data,
    };
    let (folder, data) = shorten(data);
    if let Some(folder) = &folder {
        // The kernel takes one page of options; from the layers' own folder their names are short.
        std::env::set_current_dir(folder).with_context(failed)?;
    }
    let kind_given = (!parsed.flags.contains(MsFlags::MS_BIND)).then_some(kind);
    let data = Some(data.join(",")).filter(|data| !data.is_empty());
    let mounted = mount(Some(source), target, kind_given, parsed.flags, data.as_deref());
    if folder.is_some() {
        std::env::set_current_dir("/").with_context(failed)?;
    }
    mounted.with_context(failed)?;
    if parsed.flags.contains(MsFlags::MS_BIND | MsFlags::MS_RDONLY) {
        let flags = parsed.flags | MsFlags::MS_REMOUNT;
        mount(None::<&str>, target, None::<&str>, flags, None::<&str>).with_context(failed)?;
    }
    match &maps {
        // A mount that is no overlay is its only layer.
        Some(maps) if kind != "overlay" => {
            // What lies on it is not to lie on what it was bound from.
            let nothing = None::<&str>;
            mount(nothing, target, nothing, MsFlags::MS_PRIVATE, nothing).with_context(failed)?;
            attach(&maps.clone_mount(target).with_context(failed)?, target).with_context(failed)
        }
        _ => Ok(()),
    }
}

/// The id maps that containerd writes among a snapshot's options when it leaves their use to the shim, and
/// the other options.
fn take_maps(options: &[String]) -> (Option<IdMaps>, Vec<String>) {
    let named = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
    let maps = named("uidmap=").zip(named("gidmap=")).map(|(uids, gids)| IdMaps::parse(uids, gids));
    let is_map = |option: &&String| option.starts_with("uidmap=") || option.starts_with("gidmap=");
    (maps, options.iter().filter(|option| !is_map(option)).cloned().collect())
}

/// Overlay options whose lower layers belong to the container's users: a mapped copy of the folder that
/// holds them all is mounted where the overlay will cover it, and both go together.
fn map_layers(maps: &IdMaps, data: Vec<String>, target: &Path) -> anyhow::Result<Vec<String>> {
    let lower = data.iter().find_map(|option| option.strip_prefix(LAYERS)).unwrap_or_default();
    let layers: Vec<&Path> = lower.split(':').map(Path::new).collect();
    let parents = layers.iter().filter_map(|layer| layer.parent()).map(Path::to_owned);
    let shared = parents.reduce(|one, other| in_both(&one, &other)).context("an overlay without layers")?;
    attach(&maps.clone_mount(&shared)?, target)?;
    let mapped = |layer: &&Path| {
        layer
            .strip_prefix(&shared)
            .map_or(layer.display().to_string(), |rest| target.join(rest).display().to_string())
    };
    let mapped = layers.iter().map(mapped).collect::<Vec<_>>().join(":");
    let mapped = format!("{LAYERS}{mapped}");
    Ok(data
        .iter()
        .map(|option| if option.starts_with(LAYERS) { mapped.clone() } else { option.clone() })
        .collect())
}

/// The folder that two paths have in common.
fn in_both(one: &Path, other: &Path) -> PathBuf {
    one.components().zip(other.components()).take_while(|(a, b)| a == b).map(|(part, _)| part).collect()
}

/// The option of an overlay that names its lower layers.
pub(crate) const LAYERS: &str = "lowerdir=";

/// Overlay options that fit the kernel's one page: with many layers, the names of all become relative
/// to the folder that is returned, which holds them all.
fn shorten(data: Vec<String>) -> (Option<PathBuf>, Vec<String>) {
    const PAGE: usize = 4096;
    if data.iter().map(|option| option.len() + 1).sum::<usize>() < PAGE {
        return (None, data);
    }
    let lower = data.iter().find_map(|option| option.strip_prefix(LAYERS)).unwrap_or_default();
    let layers = lower.split(':').map(PathBuf::from);
    let Some(shared) = layers.reduce(|one, other| in_both(&one, &other)) else { return (None, data) };
    let relative = |path: &str| {
        Path::new(path).strip_prefix(&shared).map_or(path.to_owned(), |short| short.display().to_string())
    };
    let data = data.iter().map(|option| match option.strip_prefix(LAYERS) {
        Some(layers) => format!("{LAYERS}{}", layers.split(':').map(relative).collect::<Vec<_>>().join(":")),
        None => option.clone(),
    });
    let data = data.collect();
    (Some(shared), data)
}

/// Checks that what the spec wants to bind is there, so that the error names it.
///
/// # Errors
/// Names the first source that is missing.
pub fn check_mount_sources(workload: &Workload) -> anyhow::Result<()> {
    for mount in workload.spec.mounts().iter().flatten() {
        let options = mount.options().as_deref().unwrap_or_default();
        let bound = options.iter().any(|option| option == "bind" || option == "rbind");
        let Some(source) = mount.source().as_ref().filter(|_| bound) else { continue };
        let source = workload.bundle.join(source);
        source.symlink_metadata().with_context(|| {
            format!("cannot mount {} at {}", source.display(), mount.destination().display())
        })?;
    }
    Ok(())
}

/// Detaches everything mounted at `target`, which may be nothing.
///
/// # Errors
/// Names the folder that would not let go.
pub fn unmount_all(target: &Path) -> anyhow::Result<()> {
    loop {
        match unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot unmount {}", target.display())),
        }
    }
}

/// Finds `path` below `base`, following symbolic links as if `base` were the root. What is found is not
/// opened yet: opening a device or a fifo of the image's would already be an act.
pub(crate) fn find_in(base: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    if path.as_os_str().is_empty() {
        return Ok(rustix::fs::openat(CWD, base, flags, Mode::empty())?.into());
    }
    let base =
        rustix::fs::openat(CWD, base, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(find_below(&base, path)?.into())
}

/// Finds what is at `path` below an open folder, following links as if that were the root. See [`find_in`].
pub(crate) fn find_below(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    const TRIES: usize = 100;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let find = || rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    // Behind a `..` the kernel cannot tell while anything anywhere is renamed.
    let unsure = |found: &rustix::io::Result<_>| matches!(found, Err(rustix::io::Errno::AGAIN));
    (0..TRIES).map(|_| find()).find(|found| !unsure(found)).unwrap_or_else(find)
}

/// A folder below an open one, made where it is missing, and never outside.
pub(crate) fn find_or_make_folder(root: &OwnedFd, below: &Path) -> anyhow::Result<OwnedFd> {
    match find_below(root, below) {
        Err(rustix::io::Errno::NOENT) => {}
        found => return Ok(found?),
    }
    let name = below.file_name().context("its path has no end")?;
    let holder = holder(root, below)?;
    match rustix::fs::mkdirat(holder.as_ref().unwrap_or(root), name, Mode::from_raw_mode(0o755)) {
        // A link that leads nowhere: not found again.
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(find_below(root, below)?),
        Err(error) => Err(error.into()),
    }
}

/// The folder that holds it; `None` for the root itself.
pub(crate) fn holder(root: &OwnedFd, below: &Path) -> anyhow::Result<Option<OwnedFd>> {
    let holder = below.parent().filter(|holder| !holder.as_os_str().is_empty());
    holder.map(|holder| find_or_make_folder(root, holder)).transpose()
}

/// Opens for reading what was found, now that it is known to be a file.
pub(crate) fn open_found(found: &File) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

/// Makes the working directory where the image has none, as runc does, without leaving the root.
///
/// # Errors
/// Names the folder that cannot be made.
pub(crate) fn make_cwd(workload: &Workload) -> anyhow::Result<()> {
    let cwd = workload.process().cwd();
    let (base, rest) = workload.locate(cwd.strip_prefix("/").unwrap_or(cwd));
    if rest.as_os_str().is_empty() || find_in(&base, &rest).is_ok() {
        return Ok(());
    }
    let made = || -> anyhow::Result<OwnedFd> {
        let root = rustix::fs::openat(
            CWD,
            &base,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        find_or_make_folder(&root, &rest)
    };
    made().map(drop).with_context(|| format!("cannot make the working directory {}", cwd.display()))
}

/// The environment of a workload's program, with HOME where the image's has none: what runc adds.
pub(crate) fn env_with_home(workload: &Workload) -> Vec<String> {
    let process = workload.process();
    let mut env = process.env().clone().unwrap_or_default();
    if !env.iter().any(|pair| pair.starts_with("HOME=")) {
        env.push(format!("HOME={}", home_of(&workload.rootfs(), process.user().uid()).display()));
    }
    env
}

/// The home folder that the image's `/etc/passwd` gives `uid`, as runc looks it up: by reading the
/// file, never by asking a C library that would follow the image's own configuration.
fn home_of(rootfs: &Path, uid: u32) -> PathBuf {
    const ENOUGH: u64 = 1 << 20;
    let mut text = String::new();
    let read = find_in(rootfs, Path::new("etc/passwd")).and_then(|found| {
        // Not a device or a fifo that the image calls so.
        let file = if found.metadata()?.is_file() { open_found(&found)? } else { return Ok(0) };
        file.take(ENOUGH).read_to_string(&mut text)
    });
    let home = read.ok().and_then(|_| {
        text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| match fields[..] {
            [_, _, id, _, _, home, ..] if id.parse() == Ok(uid) && !home.is_empty() => Some(home.to_owned()),
            _ => None,
        })
    });
    home.unwrap_or_else(|| "/".into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn many_layers_become_relative() {
        let layers: Vec<_> =
            (0..100).map(|n| format!("/var/lib/containerd/overlayfs/snapshots/{n}/fs")).collect();
        let data = vec![format!("lowerdir={}", layers.join(":")), "index=off".to_owned()];
        let (folder, short) = shorten(data);
        assert_eq!(folder.unwrap(), Path::new("/var/lib/containerd/overlayfs/snapshots"));
        assert!(short[0].starts_with("lowerdir=0/fs:1/fs:2/fs") && short[1] == "index=off");
        assert_eq!(shorten(vec!["lowerdir=/a:/b".into()]), (None, vec!["lowerdir=/a:/b".into()]));
    }

    #[test]
    fn reads_home_from_the_image() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nbad\nu:x:7:7::/home/u:\n")
            .unwrap();
        assert_eq!(home_of(root.path(), 0), Path::new("/root"));
        assert_eq!(home_of(root.path(), 7), Path::new("/home/u"));
        assert_eq!(home_of(root.path(), 8), Path::new("/"));
    }
}
