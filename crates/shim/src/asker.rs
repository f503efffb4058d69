//! The containerd that requested this daemon. If it exits before its first request to the daemon, no request will ever
//! come: the next containerd does not know of the daemon.

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

/// How long to wait, after containerd exited, for a request that it has already sent.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// The containerd process, and the bundle that it made.
pub struct Asker {
    /// Its pidfd; `None` when it has exited already.
    process: Option<OwnedFd>,
    bundle: PathBuf,
    inode: u64,
}

impl Asker {
    /// Reads the process id from the environment; the working directory is the bundle. `None` without the variable.
    pub fn find() -> Option<Self> {
        let pid = Pid::from_raw(std::env::var(ASKER).ok()?.parse().ok()?)?;
        let process = pidfd_open(pid, PidfdFlags::NONBLOCK).ok();
        let bundle = std::env::current_dir().ok()?;
        let inode = fs::metadata(&bundle).ok()?.ino();
        Some(Self { process, bundle, inode })
    }

    /// Waits until it has exited and no request of it can arrive any more. Returns the bundle that it left.
    ///
    /// # Errors
    /// When its pidfd cannot be polled.
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

/// A bundle that no containerd knows of.
pub struct Bundle {
    path: PathBuf,
    inode: u64,
}

impl Bundle {
    /// Removes it and its working directory, as far as they contain only files: a mount stays, and so does a bundle
    /// that another containerd made in its place.
    pub fn remove(&self) {
        if fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let work = fs::read_link(self.path.join("work"));
            // Whatever cannot be removed stays for an administrator to look at.
            let _ = fs::remove_dir(self.path.join("rootfs"));
            remove_files(&self.path);
            work.into_iter()
                .filter(|work| work.file_name() == self.path.file_name())
                .for_each(|work| remove_files(&work));
        }
    }
}

/// Removes a directory of files.
fn remove_files(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    let _ = fs::remove_dir(dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_goes_with_its_working_directory() {
        let dir = tempfile::tempdir().unwrap();
        let [bundle, work] = ["state/c", "root/c"].map(|path| dir.path().join(path));
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
        assert!(bundle.join("rootfs/file").exists(), "files of a root are never removed");
    }
}
