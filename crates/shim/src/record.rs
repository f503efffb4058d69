//! The record in a bundle of what was made for its container, for a `delete` after the daemon is gone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use container::process::Identity;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use workload::{Options, Workload};

use crate::payload::NoteFd;

/// The file's name in the bundle.
const FILE: &str = "lighter.json";

/// The mount point of containerd's snapshot, in the bundle.
pub const SNAPSHOT: &str = "rootfs";

/// What `config.json` does not say about a container, and what was begun for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The runtime's options from the Create request.
    pub options: Options,
    /// Whether it is a Linux container, made by libcontainer.
    pub native: bool,
    /// Whether the shim mounted its root file system, and so must unmount it.
    pub mounted: bool,
    /// Whether its cgroup may exist, and hooks may have run.
    pub entered: bool,
    /// Its first process, once there is one.
    pub process: Option<Identity>,
}

impl Record {
    /// A record of a container for which nothing was begun.
    pub fn new(options: Options) -> Self {
        Self { options, native: false, mounted: false, entered: false, process: None }
    }

    /// Overwrites the record atomically: the kernel copies less than a page before it checks whether the writer is
    /// killed. (Renaming a new file over it would make ext4 write to the disk.)
    ///
    /// # Errors
    /// Names the file.
    pub fn write(&self, bundle: &Path) -> anyhow::Result<()> {
        const PAGE: usize = 4096;
        let path = bundle.join(FILE);
        let mut text = serde_json::to_vec(self)?;
        ensure!(
            text.len() < PAGE,
            "the runtime's options are too long: {} bytes with what is noted",
            text.len()
        );
        let mut written = || -> io::Result<()> {
            let mut file = File::options().write(true).create(true).truncate(false).open(&path)?;
            // Spaces overwrite the rest of a longer record.
            let before = usize::try_from(file.metadata()?.len()).unwrap_or(0);
            text.resize(text.len().max(before), b' ');
            file.write_all(&text)
        };
        written().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads the record; `None` if Create has not written one.
    ///
    /// # Errors
    /// Names the file.
    pub fn read(bundle: &Path) -> anyhow::Result<Option<Self>> {
        let path = bundle.join(FILE);
        match fs::read(&path) {
            Ok(text) => Ok(Some(
                serde_json::from_slice(&text).with_context(|| format!("cannot read {}", path.display()))?,
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

/// Whether the bundle has a record, so something of the container may be left.
pub fn is_noted(bundle: &Path) -> bool {
    bundle.join(FILE).exists()
}

/// Locks the record (shared) for as long as the descriptor is open in any process, or in flight to one.
///
/// # Errors
/// Names the file.
pub fn hold(bundle: &Path) -> anyhow::Result<NoteFd<File>> {
    let path = bundle.join(FILE);
    let held = File::open(&path).and_then(|file| {
        flock(&file, FlockOperation::LockShared)?;
        Ok(file)
    });
    held.map(NoteFd).with_context(|| format!("cannot hold {}", path.display()))
}

/// Whether any process holds the lock.
pub fn is_held(bundle: &Path) -> bool {
    let tried = File::open(bundle.join(FILE));
    tried.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK))
}

/// Removes the record: nothing of the container is left, and a later `delete` has nothing to do.
///
/// # Errors
/// Names the file.
pub fn forget(bundle: &Path) -> anyhow::Result<()> {
    let path = bundle.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Reads the bundle's `config.json`.
///
/// # Errors
/// Names the file or the part of the spec that is wrong.
pub fn read_workload(id: &str, bundle: &Path, options: Options) -> anyhow::Result<Workload> {
    let path: PathBuf = bundle.join("config.json");
    let json = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Workload::read(id, bundle, &json, options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_record_leaves_nothing_of_a_longer_one() {
        let bundle = tempfile::tempdir().unwrap();
        assert!(Record::read(bundle.path()).unwrap().is_none());
        let mut record = Record::new(Options { root: "/a/long/path".into(), ..Options::default() });
        record.write(bundle.path()).unwrap();
        record.options.root.clear();
        record.mounted = true;
        record.write(bundle.path()).unwrap();
        let read = Record::read(bundle.path()).unwrap().unwrap();
        assert!(read.mounted && read.options.root.is_empty());
        let held = hold(bundle.path()).unwrap();
        let further = held.0.try_clone().unwrap();
        drop(held);
        assert!(is_held(bundle.path()), "a copy of it counts");
        drop(further);
        assert!(!is_held(bundle.path()));
        forget(bundle.path()).unwrap();
        assert!(!is_noted(bundle.path()));
    }
}
