//! Opens files that come from outside of the container and that no process inside can have changed or put there.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, StatxAttributes, StatxFlags,
    fstatvfs, openat2, statx,
};

/// Opens `path` if it is a regular file that is mounted there by itself, read-only. Only the container's creator can
/// mount inside it, so the file is the one that the spec names, whatever the image or an earlier guest has put beside
/// it. Follows no links.
///
/// # Errors
/// `NotFound` for anything else.
pub fn open(path: &Path) -> io::Result<File> {
    let how = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat2(CWD, path, how, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let found = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    let regular = FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile;
    let mounted = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    let readonly = fstatvfs(&file)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    if regular && mounted && readonly { Ok(file.into()) } else { Err(ErrorKind::NotFound.into()) }
}
