//! Recognizes an image layer's own files: no container can have changed them, and the image did not choose their
//! change times.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, fstatfs, statat};
use workload::Format;

use crate::rootfs::beneath::open_found;
use crate::rootfs::snapshot::{LAYERS, Snapshot};
use crate::source::{ContentId, Source};

/// File systems on which only the kernel sets a file's change time: from its own clock, with no call to set it. So an
/// image that is unpacked there cannot choose it, and two files that have the same inode number one after the other
/// differ in it. For the same reason it is harmless that btrfs numbers its devices (its subvolumes) as they come and
/// may reuse a number.
///
/// Excluded: EROFS and squashfs (the image holds all times, and device numbers are reused after an unmount); FUSE,
/// 9p, virtiofs, NFS, CIFS (another process or host supplies the times); overlay (reports what is below); tmpfs,
/// f2fs, ZFS, bcachefs (no objection, but few nodes keep images there).
const KEEPS_TIMES: [u64; 3] = [
    // ext2, ext3, ext4; XFS; btrfs: the numbers of `linux/magic.h`.
    0xef53,
    0x5846_5342,
    0x9123_683e,
];

/// Where an image's files are on the disk: in the lower directories of an overlay, which no container can write to.
#[derive(Clone, Debug)]
pub struct Layers {
    root: PathBuf,
    lower: Vec<PathBuf>,
}

impl Layers {
    /// A root file system without known layers.
    pub fn none_at(root: &Path) -> Self {
        Self { root: root.into(), lower: Vec::new() }
    }

    /// Adds the lower directories of the snapshot that is mounted there.
    pub fn and_of(mut self, snapshot: &Snapshot<'_>) -> Self {
        let lower = snapshot.options.iter().find_map(|option| option.strip_prefix(LAYERS));
        let of_overlay = lower.filter(|_| snapshot.kind == "overlay").unwrap_or_default();
        self.lower = of_overlay.split(':').filter(|layer| !layer.is_empty()).map(PathBuf::from).collect();
        self
    }

    /// The source for a file that was found: instead of it the layer's own file, where its metadata identifies its
    /// contents.
    pub fn source(&self, file: File, format: Format) -> Source {
        // Not needed for a Linux program.
        match Some(&file).filter(|_| format.is_wasm()).and_then(|file| self.file(file)) {
            Some(own) => Source { file: own, format, content_id: ContentId::FileMetadata },
            None => Source { file, format, content_id: ContentId::None },
        }
    }

    /// The layer's own file behind `found`, if its metadata identifies its contents: no container can change it, and
    /// the kernel sets its times. `None` for any other, which must be read each time.
    ///
    /// `found` itself must not be read instead: it turns into the container's copy as soon as the container writes to
    /// the file, also for processes that have it open.
    fn file(&self, found: &File) -> Option<File> {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?;
        let below = path.strip_prefix(&self.root).ok()?;
        let own = self.lower.iter().find_map(|layer| own(layer, below).ok())?;
        // An overlay reports the inode numbers and times of the files below.
        let figures = |file: &File| {
            let file = file.metadata().ok()?;
            let changed = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
            file.is_file().then_some((file.ino(), file.len(), changed))
        };
        let (Own { file, lasting: true }, shown) = (own, figures(found)?) else { return None };
        (figures(&file)? == shown).then(|| open_found(&file).ok())?
    }
}

/// A layer's file at a path, opened with `O_PATH`.
struct Own {
    file: File,
    /// Whether the same metadata means the same contents.
    lasting: bool,
}

fn own(layer: &Path, below: &Path) -> io::Result<Own> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // An overlay does not show what is mounted inside a layer's directory.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let layer = File::open(layer)?;
    let file = File::from(rustix::fs::openat2(&layer, below, flags, Mode::empty(), resolve)?);
    let kept = u64::try_from(fstatfs(&file)?.f_type).is_ok_and(|kind| KEEPS_TIMES.contains(&kind));
    // A layer that is a file system of its own may come from an image that holds all its times.
    let unpacked = statat(&layer, "..", AtFlags::empty())?.st_dev == layer.metadata()?.dev();
    Ok(Own { file, lasting: kept && unpacked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn file_systems_whose_times_an_image_may_choose_are_not_listed() {
        let others = [
            ("EROFS", 0xe0f5_e1e2),
            ("squashfs", 0x7371_7368),
            ("FUSE", 0x6573_5546),
            ("overlay", 0x794c_7630),
            ("tmpfs", 0x0102_1994),
            ("9p", 0x0102_1997),
            ("NFS", 0x6969),
            ("CIFS", 0xff53_4d42),
            ("ISO 9660", 0x9660),
            ("vfat", 0x4d44),
        ];
        for (name, kind) in others {
            assert!(!KEEPS_TIMES.contains(&kind), "{name}");
        }
    }

    #[test]
    fn a_layers_own_file_takes_the_place_of_what_was_found() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().canonicalize().unwrap().join(path);
        fs::create_dir_all(at("layer")).unwrap();
        fs::create_dir_all(at("root")).unwrap();
        fs::write(at("layer/app"), "one").unwrap();
        // As an overlay shows it: the same file elsewhere.
        fs::hard_link(at("layer/app"), at("root/app")).unwrap();
        fs::write(at("root/other"), "one").unwrap();
        let layers = Layers { root: at("root"), lower: vec![at("no-such-layer"), at("layer")] };
        let file = |path: &str| {
            let source = layers.source(File::open(at(path)).unwrap(), Format::Module);
            (source.content_id == ContentId::FileMetadata).then_some(source.file)
        };
        let kind = fstatfs(File::open(at("layer")).unwrap()).unwrap().f_type;
        let lasting = u64::try_from(kind).is_ok_and(|kind| KEEPS_TIMES.contains(&kind));
        let named = |file: File| fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        assert_eq!(file("root/app").map(named), lasting.then(|| at("layer/app")));
        assert!(file("root/other").is_none() && file("layer/app").is_none());
        fs::remove_file(at("root/app")).unwrap();
        fs::write(at("root/app"), "two").unwrap();
        assert!(file("root/app").is_none());
    }
}
