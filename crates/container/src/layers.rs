//! The image's own files, told from what a container may have changed.

use std::fs::{File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::rootfs::{Found, LAYERS, Snapshot};

/// Where the files of an image are on the disk: in the lower folders of an overlay, which no container can
/// write to.
#[derive(Clone, Debug)]
pub struct Layers {
    root: PathBuf,
    lower: Vec<PathBuf>,
}

impl Layers {
    /// A root file system of which no layers are known.
    pub fn none_at(root: &Path) -> Self {
        Self { root: root.into(), lower: Vec::new() }
    }

    /// The same with those of a snapshot that is mounted there.
    pub fn and_of(mut self, snapshot: &Snapshot<'_>) -> Self {
        let lower = snapshot.options.iter().find_map(|option| option.strip_prefix(LAYERS));
        let of_overlay = lower.filter(|_| snapshot.kind == "overlay").unwrap_or_default();
        self.lower = of_overlay.split(':').filter(|layer| !layer.is_empty()).map(PathBuf::from).collect();
        self
    }

    /// The file of a layer that was found, if it is one; else somebody can write to it.
    pub fn file(&self, found: &Found) -> Option<Metadata> {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", found.file.as_raw_fd())).ok()?;
        let below = path.strip_prefix(&self.root).ok()?;
        // An overlay shows its files with the numbers and times that they have below.
        let shown = found.file.metadata().ok()?;
        let same = |file: &Metadata| {
            let figures = |file: &Metadata| {
                let changed = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
                (file.ino(), file.len(), changed)
            };
            file.is_file() && figures(file) == figures(&shown)
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open = |layer: &PathBuf| {
            let layer = File::open(layer).ok()?;
            let file = rustix::fs::openat2(&layer, below, flags, Mode::empty(), resolve).ok()?;
            File::from(file).metadata().ok()
        };
        self.lower.iter().find_map(open).filter(same)
    }
}
