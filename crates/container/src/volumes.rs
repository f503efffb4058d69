//! Interprets a spec's mounts: which are binds, their sources and their propagation. Mounts nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use libcontainer::rootfs::utils::{MountOptionConfig, parse_mount};
use nix::mount::MsFlags;
use oci_spec::runtime::Mount;
use workload::Workload;

use crate::sentence::sentence;

/// Checks that the sources of binds exist, so that the error names them.
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

/// Parses a mount's options, as in fstab, into flags and data.
///
/// # Errors
/// Names the invalid option.
pub(crate) fn parse(mount: &Mount) -> anyhow::Result<MountOptionConfig> {
    parse_mount(mount).map_err(|error| anyhow!("{}", sentence(&error)))
}

/// The source of a bind on the host: a relative path begins in the bundle.
pub(crate) fn source_of(workload: &Workload, bind: &Mount) -> PathBuf {
    workload.bundle.join(bind.source().as_deref().unwrap_or(Path::new("")))
}

/// Checks that a volume and its destination are both directories, or neither. The message's first words are those
/// by which Docker derives an exit code; "is a directory" would change it.
///
/// # Errors
/// Names the type of both.
pub(crate) fn check_kinds(volume_is_dir: bool, dir_is_there: bool) -> anyhow::Result<()> {
    let word = |is_dir: bool| if is_dir { "directory" } else { "file" };
    ensure!(
        volume_is_dir == dir_is_there,
        "not a directory: this mounts a {} on a {} of the image",
        word(volume_is_dir),
        word(dir_is_there)
    );
    Ok(())
}

/// The root's propagation in libcontainer's terms: it always applies it recursively.
pub(crate) fn propagation_of_root(name: &str) -> String {
    name.strip_prefix('r').unwrap_or(name).to_owned()
}

/// Whether a mount binds a directory or a file of the host.
pub(crate) fn is_bind(mount: &Mount) -> bool {
    mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind")
}

/// The propagation in a volume's options; `None` where they name none.
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
