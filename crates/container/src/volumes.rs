//! What a spec says of its mounts: which are binds, of what, and how mounts below them may come and go. Mounts nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use libcontainer::rootfs::utils::{MountOptionConfig, parse_mount};
use nix::mount::MsFlags;
use oci_spec::runtime::Mount;
use workload::Workload;

use crate::sentence::sentence;

/// Checks that what the spec wants to bind is there, so that the error names it.
///
/// # Errors
/// Names the first source that is missing.
pub fn check_mount_sources(workload: &Workload) -> anyhow::Result<()> {
    for mount in workload.spec.mounts().iter().flatten() {
        if mount.source().is_none() || !is_bind(mount) {
            continue;
        }
        let source = source_of(workload, mount);
        source.symlink_metadata().with_context(|| {
            format!("cannot mount {} at {}", source.display(), mount.destination().display())
        })?;
    }
    Ok(())
}

/// The flags and data of a mount, as fstab writes them in its options.
///
/// # Errors
/// Names the option that means nothing.
pub(crate) fn parse(mount: &Mount) -> anyhow::Result<MountOptionConfig> {
    parse_mount(mount).map_err(|error| anyhow!("{}", sentence(&error)))
}

/// What a bind shows, on the host: a path that is relative begins in the bundle.
pub(crate) fn source_of(workload: &Workload, bind: &Mount) -> PathBuf {
    workload.bundle.join(bind.source().as_deref().unwrap_or(Path::new("")))
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
