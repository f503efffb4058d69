//! Mounts the snapshot that containerd prepared: with its flags, its id maps, and more layers than the kernel's one
//! page of options holds.

use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use oci_spec::runtime::MountBuilder;

use crate::idmap::IdMaps;
use crate::trees::attach;
use crate::volumes::parse;

/// One mount of the snapshot that containerd prepared, as in its API.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The type of the mount, mostly `overlay` or `bind`.
    pub kind: &'a str,
    /// What is mounted.
    pub source: &'a str,
    /// Flags and data, as in fstab.
    pub options: &'a [String],
}

/// Mounts a snapshot at `target`, which is created if it is missing.
///
/// # Errors
/// Names the snapshot and the kernel's error.
pub fn mount_snapshot(snapshot: Snapshot<'_>, target: &Path) -> anyhow::Result<()> {
    let Snapshot { kind, source, options } = snapshot;
    let failed = || format!("cannot mount the root file system ({kind} {source}) at {}", target.display());
    std::fs::create_dir_all(target).with_context(failed)?;
    let (maps, options) = take_maps(options);
    let spec =
        MountBuilder::default().destination(target).typ(kind).source(source).options(options).build()?;
    let parsed = parse(&spec).with_context(failed)?;
    let data = match &maps {
        Some(maps) if kind == "overlay" => map_layers(maps, parsed.data, target).with_context(failed)?,
        _ => parsed.data,
    };
    let (dir, data) = shorten(data);
    if let Some(dir) = &dir {
        // The kernel takes one page of options; relative to the layers' common directory their names are short.
        std::env::set_current_dir(dir).with_context(failed)?;
    }
    let kind_given = (!parsed.flags.contains(MsFlags::MS_BIND)).then_some(kind);
    let data = Some(data.join(",")).filter(|data| !data.is_empty());
    let mounted = mount(Some(source), target, kind_given, parsed.flags, data.as_deref());
    if dir.is_some() {
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
            // What is mounted on it must not propagate to its source.
            let nothing = None::<&str>;
            mount(nothing, target, nothing, MsFlags::MS_PRIVATE, nothing).with_context(failed)?;
            attach(&maps.clone_mount(target).with_context(failed)?, target).with_context(failed)
        }
        _ => Ok(()),
    }
}

/// Separates the id maps, which containerd puts among a snapshot's options when it leaves the mapping to the shim,
/// from the other options.
fn take_maps(options: &[String]) -> (Option<IdMaps>, Vec<String>) {
    let named = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
    let maps = named("uidmap=").zip(named("gidmap=")).map(|(uids, gids)| IdMaps::parse(uids, gids));
    let is_map = |option: &&String| option.starts_with("uidmap=") || option.starts_with("gidmap=");
    (maps, options.iter().filter(|option| !is_map(option)).cloned().collect())
}

/// Overlay options with id-mapped lower layers: an id-mapped copy of the directory that holds them all is mounted
/// where the overlay will cover it, so both are unmounted together.
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

/// The directory that two paths have in common.
fn in_both(one: &Path, other: &Path) -> PathBuf {
    one.components().zip(other.components()).take_while(|(a, b)| a == b).map(|(part, _)| part).collect()
}

/// The option of an overlay that names its lower layers.
pub(crate) const LAYERS: &str = "lowerdir=";

/// Shortens overlay options to the kernel's one page: with many layers, their names become relative to the returned
/// directory, which holds them all.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_layers_become_relative() {
        let layers: Vec<_> =
            (0..100).map(|n| format!("/var/lib/containerd/overlayfs/snapshots/{n}/fs")).collect();
        let data = vec![format!("lowerdir={}", layers.join(":")), "index=off".to_owned()];
        let (dir, short) = shorten(data);
        assert_eq!(dir.unwrap(), Path::new("/var/lib/containerd/overlayfs/snapshots"));
        assert!(short[0].starts_with("lowerdir=0/fs:1/fs:2/fs") && short[1] == "index=off");
        assert_eq!(shorten(vec!["lowerdir=/a:/b".into()]), (None, vec!["lowerdir=/a:/b".into()]));
    }
}
