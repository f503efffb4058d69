//! Volumes made ready for libcontainer's init, which binds what it finds at a path and nothing more: with
//! the propagation and the users that the spec asks for, and where a user namespace's root can reach them.
//!
//! For a short-lived process: it goes into a mount namespace of its own, and what it stages ends with it.

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

/// A folder of the host's, covered in the namespace of the one who stages.
const STAGE: &str = "/run/lighter";

/// Lets the mounts of a spec take what was staged for them.
pub(crate) fn redirect(spec: &mut Spec, staged: &[(usize, PathBuf)]) {
    let Some(mounts) = spec.mounts_mut() else { return };
    for (at, source) in staged {
        // What is staged is mapped already.
        mounts[*at].set_source(Some(source.clone())).set_uid_mappings(None).set_gid_mappings(None);
    }
}

/// Stages the binds of `workload` that need it: each by its place among the spec's mounts, with its path.
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
    // Before anything becomes this namespace's own: a shared volume stays the host's peer.
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
            // A volume of which the spec says nothing is the container's own.
            let flags = propagation.unwrap_or(MsFlags::MS_PRIVATE | MsFlags::MS_REC);
            Ok(mount(None::<&str>, &place, None::<&str>, flags, None::<&str>)?)
        };
        done().with_context(|| format!("cannot stage the volume {}", source.display()))?;
        staged.push((at, place));
    }
    Ok(staged)
}

/// Checks that each bind of `workload` finds its own kind in the image, for when libcontainer could not lay one out, of
/// which it says no more.
///
/// # Errors
/// Names the first that does not.
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

/// A file system that only this namespace sees, and that any user may pass through.
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
