//! What the shim writes into a bundle, for a `delete` that finds the daemon gone.

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

/// Where containerd's snapshot is mounted, in the bundle.
pub const SNAPSHOT: &str = "rootfs";

/// Everything about a container that its `config.json` does not say, and what was begun for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The runtime's options, as Create got them.
    pub options: Options,
    /// Whether libcontainer makes it.
    pub native: bool,
    /// Whether the shim mounted its root file system; else that is somebody else's to unmount.
    pub mounted: bool,
    /// Whether it may have a cgroup of its own, and hooks that ran.
    pub entered: bool,
    /// Its first process, once there is one.
    pub process: Option<Identity>,
}

impl Record {
    /// Nothing begun yet.
    pub fn new(options: Options) -> Self {
        Self { options, native: false, mounted: false, entered: false, process: None }
    }

    /// Writes the record over the one that is there, whole or not at all: the kernel copies less than a page
    /// before it looks whether the writer is killed. (To rename a new file over it makes ext4 write the disk.)
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
            // Nothing of a longer one may show behind it.
            let before = usize::try_from(file.metadata()?.len()).unwrap_or(0);
            text.resize(text.len().max(before), b' ');
            file.write_all(&text)
        };
        written().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads the record; `None` when Create never came so far.
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

/// Whether something of the container may be left, as far as its bundle tells.
pub fn is_noted(bundle: &Path) -> bool {
    bundle.join(FILE).exists()
}

/// Holds the note for as long as the file is open in any process, or on its way to one.
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

/// Whether somebody holds it.
pub fn is_held(bundle: &Path) -> bool {
    let tried = File::open(bundle.join(FILE));
    tried.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK))
}

/// Notes that nothing of the container is left, so that a later `delete` does nothing twice.
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
