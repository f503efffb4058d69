//! Prepares volumes for libcontainer's init, which binds what it finds at a path and nothing more: with the
//! propagation and the id maps that the spec asks for, and where the root of a user namespace can reach them.
//!
//! For a short-lived process: it enters a mount namespace of its own, and what it stages ends with it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use oci_spec::runtime::{Mount, Spec};
use workload::Workload;

use crate::idmap::IdMaps;
use crate::namespaces::Namespaces;
use crate::rootfs::beneath::find_in;
use crate::trees::{self, Depth};
use crate::volumes::{self, is_bind, propagation_of, source_of};

/// A directory of the host, covered in the namespace of the process that stages.
const STAGE: &str = "/run/lighter";

/// Points the mounts of a spec to what was staged for them.
pub(crate) fn redirect(spec: &mut Spec, staged: &[(usize, PathBuf)]) {
    let Some(mounts) = spec.mounts_mut() else { return };
    for (at, source) in staged {
        // What is staged is mapped already.
        mounts[*at].set_source(Some(source.clone())).set_uid_mappings(None).set_gid_mappings(None);
    }
}

/// Stages the binds of `workload` that need it. Returns for each its index among the spec's mounts, and its path.
///
/// # Errors
/// Names the volume.
pub(crate) fn volumes(workload: &Workload, namespaces: &Namespaces) -> anyhow::Result<Vec<(usize, PathBuf)>> {
    let needs = |mount: &&Mount| is_bind(mount) && (namespaces.in_user() || propagation_of(mount).is_some());
    let all = workload.spec.mounts().as_deref().unwrap_or_default();
    let chosen: Vec<_> = all.iter().enumerate().filter(|(_, mount)| needs(mount)).collect();
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    fs::create_dir_all(STAGE).with_context(|| format!("cannot make {STAGE}"))?;
    // Copied before the namespace becomes a slave of the host's: a shared volume stays a peer of the host's mount.
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    let mut opened = Vec::new();
    for (at, mount) in chosen {
        let source = source_of(workload, mount);
        let tree = trees::copy(&source, Depth::All);
        let tree = tree.with_context(|| format!("cannot open the volume {}", source.display()))?;
        let maps = IdMaps::of(mount.uid_mappings().as_deref(), mount.gid_mappings().as_deref());
        if let Some(maps) = maps {
            let failed = || format!("cannot map the users of the volume {}", source.display());
            maps.apply(&tree).with_context(failed)?;
        }
        opened.push((at, source, tree, propagation_of(mount)));
    }
    make_stage()?;
    let mut staged = Vec::new();
    for (at, source, tree, propagation) in opened {
        let place = Path::new(STAGE).join(at.to_string());
        let done = || -> anyhow::Result<()> {
            if source.metadata()?.is_dir() {
                fs::create_dir(&place)?
            } else {
                drop(File::create(&place)?)
            }
            trees::attach(&tree, &place)?;
            // A volume without a propagation option is private to the container.
            let flags = propagation.unwrap_or(MsFlags::MS_PRIVATE | MsFlags::MS_REC);
            Ok(mount(None::<&str>, &place, None::<&str>, flags, None::<&str>)?)
        };
        done().with_context(|| format!("cannot stage the volume {}", source.display()))?;
        staged.push((at, place));
    }
    Ok(staged)
}

/// Checks that each bind of `workload` and its destination in the image are both directories, or neither. For a
/// failure of libcontainer, whose error does not say so.
///
/// # Errors
/// Names the first that differs.
pub(crate) fn check_kinds(workload: &Workload) -> anyhow::Result<()> {
    for mount in workload.spec.mounts().iter().flatten().filter(|mount| is_bind(mount)) {
        let path = mount.destination();
        let source = source_of(workload, mount);
        let below = path.strip_prefix("/").unwrap_or(path);
        let there = find_in(&workload.rootfs(), below).and_then(|found| found.metadata());
        if let (Ok(ours), Ok(theirs)) = (source.metadata(), there) {
            volumes::check_kinds(ours.is_dir(), theirs.is_dir())
                .with_context(|| format!("cannot mount {}", path.display()))?;
        }
    }
    Ok(())
}

/// Mounts a file system that only this namespace sees and any user can traverse.
fn make_stage() -> anyhow::Result<()> {
    let made = || -> std::io::Result<()> {
        let own = MsFlags::MS_SLAVE | MsFlags::MS_REC;
        mount(None::<&str>, "/", None::<&str>, own, None::<&str>)?;
        let rights = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), STAGE, Some("tmpfs"), rights, None::<&str>)?;
        fs::set_permissions(STAGE, fs::Permissions::from_mode(0o711))
    };
    made().context("cannot make a stage for the volumes")
}
