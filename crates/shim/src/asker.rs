//! The containerd that asked for a daemon. Where it is gone before it asked the daemon for anything nobody ever will: the
//! next one knows nothing of a daemon that came into being meanwhile.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use crate::awaited::readable;
use crate::environment::ASKER;

/// How long what it sent may be on its way, when it is gone.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// The process that asked, and what it made for that.
pub struct Asker {
    /// `None` when it is gone already.
    process: Option<OwnedFd>,
    bundle: PathBuf,
    inode: u64,
}

impl Asker {
    /// Whoever the environment names, and the working directory, which is the bundle. `None` when nobody is named.
    pub fn find() -> Option<Self> {
        let pid = Pid::from_raw(std::env::var(ASKER).ok()?.parse().ok()?)?;
        let process = pidfd_open(pid, PidfdFlags::NONBLOCK).ok();
        let bundle = std::env::current_dir().ok()?;
        let inode = fs::metadata(&bundle).ok()?.ino();
        Some(Self { process, bundle, inode })
    }

    /// Waits until it is gone and nothing of it can come any more. Returns what removes the bundle.
    ///
    /// # Errors
    /// When it cannot be awaited.
    pub async fn gone(self) -> io::Result<Bundle> {
        let Self { process, bundle, inode } = self;
        if let Some(process) = process {
            let process: AsyncFd<_> = readable(process)?;
            process.readable().await?.retain_ready();
        }
        sleep(ON_ITS_WAY).await;
        Ok(Bundle { path: bundle, inode })
    }
}

/// A bundle that nobody knows of.
pub struct Bundle {
    path: PathBuf,
    inode: u64,
}

impl Bundle {
    /// Removes it and its working folder, as far as there is nothing in them but files: a mount stays, and so does a bundle
    /// that another containerd made in its place.
    pub fn remove(&self) {
        if fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let work = fs::read_link(self.path.join("work"));
            // What is left is for people to look at.
            let _ = fs::remove_dir(self.path.join("rootfs"));
            empty(&self.path);
            work.into_iter()
                .filter(|work| work.file_name() == self.path.file_name())
                .for_each(|work| empty(&work));
        }
    }
}

/// Removes a folder of files.
fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_goes_with_its_working_folder() {
        let folder = tempfile::tempdir().unwrap();
        let [bundle, work] = ["state/c", "root/c"].map(|path| folder.path().join(path));
        let make = || {
            fs::create_dir_all(bundle.join("rootfs")).unwrap();
            fs::create_dir_all(&work).unwrap();
            fs::write(bundle.join("config.json"), "{}").unwrap();
            std::os::unix::fs::symlink(&work, bundle.join("work")).unwrap();
            Bundle { path: bundle.clone(), inode: fs::metadata(&bundle).unwrap().ino() }
        };
        make().remove();
        assert!(!bundle.exists() && !work.exists());
        let kept = Bundle { inode: 1, ..make() };
        kept.remove();
        assert!(bundle.join("config.json").exists() && work.exists(), "another's");
        fs::write(bundle.join("rootfs/file"), "").unwrap();
        Bundle { inode: fs::metadata(&bundle).unwrap().ino(), ..kept }.remove();
        assert!(bundle.join("rootfs/file").exists(), "a root is nobody's to remove");
    }
}
