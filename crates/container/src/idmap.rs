//! Id maps, and id-mapped mounts, for containers in user namespaces.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::Context;
use libcontainer::syscall::linux::MountAttr;
use nix::mount::MsFlags;
use oci_spec::runtime::LinuxIdMapping;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::trees::{self, Depth, UNCHANGED};
use crate::{birth, process};

/// The kernel's `MOUNT_ATTR_IDMAP`, which libcontainer does not name.
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// The uids and gids of a container, mapped to the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMaps {
    uids: String,
    gids: String,
}

impl IdMaps {
    /// The maps of a spec; `None` where it has none.
    pub fn of(uids: Option<&[LinuxIdMapping]>, gids: Option<&[LinuxIdMapping]>) -> Option<Self> {
        let lines = |maps: &[LinuxIdMapping]| {
            let line =
                |map: &LinuxIdMapping| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size());
            maps.iter().map(line).collect::<String>()
        };
        let some = |maps: Option<&[LinuxIdMapping]>| maps.filter(|maps| !maps.is_empty()).map(lines);
        Some(Self { uids: some(uids)?, gids: some(gids)? })
    }

    /// The maps of a snapshot's options, `CONTAINER:HOST:SIZE,…` each.
    pub(crate) fn parse(uids: &str, gids: &str) -> Self {
        let lines = |maps: &str| maps.split(',').map(|map| map.replace(':', " ") + "\n").collect();
        Self { uids: lines(uids), gids: lines(gids) }
    }

    /// Writes them for the user namespace of `pid`, which has none yet.
    ///
    /// # Errors
    /// Names the map that the kernel refused.
    pub(crate) fn write(&self, pid: i32) -> anyhow::Result<()> {
        for (file, text) in [("uid_map", &self.uids), ("gid_map", &self.gids)] {
            fs::write(format!("/proc/{pid}/{file}"), text)
                .with_context(|| format!("cannot map ids: {file} {text:?}"))?;
        }
        Ok(())
    }

    /// Creates a user namespace with these maps and no process in it.
    ///
    /// # Errors
    /// Names the map that the kernel refused.
    pub fn namespace(&self) -> anyhow::Result<File> {
        let sleeper = birth::sleeper(libc::CLONE_NEWUSER).context("cannot make a user namespace")?;
        let opened = || Ok(File::open(format!("/proc/{}/ns/user", sleeper.pid))?);
        let made = self.write(sleeper.pid).and_then(|()| opened());
        // The open file keeps the namespace alive; after an error it is not needed.
        process::signal(&sleeper.pidfd, libc::SIGKILL)?;
        waitid(WaitId::PidFd(sleeper.pidfd.as_fd()), WaitIdOptions::EXITED)
            .context("cannot wait for a child")?;
        made
    }

    /// A detached, id-mapped copy of the mounts at `source`, with private propagation: what is mounted on it is not
    /// mounted on `source`.
    ///
    /// # Errors
    /// When the file system does not support id-mapped mounts.
    pub fn clone_mount(&self, source: &Path) -> anyhow::Result<OwnedFd> {
        let tree =
            trees::copy(source, Depth::All).with_context(|| format!("cannot open {}", source.display()))?;
        self.apply(&tree).with_context(|| format!("cannot map the users of {}", source.display()))?;
        trees::propagate(&tree, MsFlags::MS_PRIVATE | MsFlags::MS_REC)?;
        Ok(tree)
    }

    /// Id-maps a detached tree.
    ///
    /// # Errors
    /// When the file system does not support id-mapped mounts.
    pub(crate) fn apply(&self, tree: &OwnedFd) -> anyhow::Result<()> {
        let namespace = self.namespace()?;
        let userns_fd = u64::try_from(namespace.as_raw_fd())?;
        trees::set(tree, Depth::All, &MountAttr { attr_set: MOUNT_ATTR_IDMAP, userns_fd, ..UNCHANGED })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_written_as_the_kernel_reads_them() {
        let maps = IdMaps::parse("0:200000:65536", "0:1:2,5:6:7");
        assert_eq!(maps, IdMaps { uids: "0 200000 65536\n".into(), gids: "0 1 2\n5 6 7\n".into() });
    }
}
