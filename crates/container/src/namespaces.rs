//! The namespaces of a box: new ones from its creation, and existing ones that it enters by path.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::Context;
use nix::sched::{CloneFlags, setns, unshare};
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use serde::{Deserialize, Serialize};

use crate::idmap::IdMaps;

/// The namespaces of a spec, by how a process gets into them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// `CLONE_NEW*` bits for the clone. Never `CLONE_NEWCGROUP`: a cgroup namespace's root is the creator's cgroup,
    /// so the process must be in its cgroup first.
    pub new: i32,
    /// Namespaces to enter after the clone.
    joined: Vec<Joined>,
    /// Namespaces that act on children only, or come before all others: a process enters them, then clones the box.
    before_birth: Vec<Joined>,
    new_cgroup: bool,
    /// Whether the box starts with the host's files visible, for `createContainer` hooks, which are files of the host.
    sees_host: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Joined {
    flag: i32,
    path: PathBuf,
}

impl Namespaces {
    /// Reads the spec. Without namespaces a container runs in the host's, as OCI says.
    pub fn of(spec: &Spec) -> Self {
        let mut all = Self::default();
        let listed = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
        for namespace in listed.into_iter().flatten() {
            let flag = flag(namespace.typ()).bits();
            match namespace.path() {
                Some(path) => {
                    let early = flag & (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) != 0;
                    let list = if early { &mut all.before_birth } else { &mut all.joined };
                    list.push(Joined { flag, path: path.clone() });
                }
                None if flag == libc::CLONE_NEWCGROUP => all.new_cgroup = true,
                None => all.new |= flag,
            }
        }
        // The user namespace governs permissions in all others.
        let hooks = spec.hooks().as_ref().and_then(|hooks| hooks.create_container().as_ref());
        all.sees_host = hooks.is_some_and(|list| !list.is_empty());
        all.before_birth.sort_by_key(|joined| joined.flag != libc::CLONE_NEWUSER);
        all
    }

    /// Whether the box has a new user namespace, whose ids must be mapped from outside.
    pub fn new_user(&self) -> bool {
        self.new & libc::CLONE_NEWUSER != 0
    }

    /// Whether the box has a new mount namespace. A Wasm box requires one.
    pub fn new_mount(&self) -> bool {
        self.new & libc::CLONE_NEWNS != 0
    }

    /// Whether the box is in a user namespace other than the daemon's.
    pub(crate) fn in_user(&self) -> bool {
        self.has(libc::CLONE_NEWUSER)
    }

    /// Whether the box has a namespace of type `flag`, new or joined, other than the host's.
    pub(crate) fn has(&self, flag: i32) -> bool {
        self.new & flag != 0 || (self.new_cgroup && flag == libc::CLONE_NEWCGROUP) || self.joins(flag)
    }

    /// Whether the box joins an existing namespace of type `flag`.
    pub(crate) fn joins(&self, flag: i32) -> bool {
        self.joined.iter().chain(&self.before_birth).any(|joined| joined.flag == flag)
    }

    pub(crate) fn new_network(&self) -> bool {
        self.new & libc::CLONE_NEWNET != 0
    }

    /// Whether the box starts with the host's files visible, instead of hardly any.
    pub fn sees_host(&self) -> bool {
        self.sees_host
    }

    /// Whether another process, a midwife, must enter namespaces before it clones the box.
    pub fn need_midwife(&self) -> bool {
        !self.before_birth.is_empty() || self.sees_host
    }

    /// Opens those with a path, for the box, which sees hardly any files.
    ///
    /// # Errors
    /// Names the namespace's file.
    pub fn open(&self) -> anyhow::Result<Vec<OwnedFd>> {
        let open = |joined: &Joined| {
            let file = File::open(&joined.path)
                .with_context(|| format!("cannot open the namespace {}", joined.path.display()))?;
            Ok(file.into())
        };
        self.before_birth.iter().chain(&self.joined).map(open).collect()
    }

    /// The reverse of [`Namespaces::open`], in the process that received the files, one for each path.
    pub fn opened(&self, files: impl IntoIterator<Item = OwnedFd>) -> Opened {
        let mut all = self.before_birth.iter().chain(&self.joined).cloned().zip(files);
        let before_birth = all.by_ref().take(self.before_birth.len()).collect();
        Opened { before_birth, after_birth: all.collect() }
    }

    /// How many have a path.
    pub fn with_path(&self) -> usize {
        self.before_birth.len() + self.joined.len()
    }

    /// Writes the spec's id maps for the box `pid`, which has a new user namespace.
    ///
    /// # Errors
    /// Names the map that the kernel refused; also when one is missing.
    pub fn map_ids(&self, spec: &Spec, pid: i32) -> anyhow::Result<()> {
        let linux = spec.linux().as_ref();
        let maps = linux
            .and_then(|linux| IdMaps::of(linux.uid_mappings().as_deref(), linux.gid_mappings().as_deref()));
        maps.context("a new user namespace needs both uidMappings and gidMappings in the spec")?.write(pid)
    }

    /// Creates the cgroup namespace, if the box has a new one. The process must be in its cgroup already.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn enter_new_cgroup(&self) -> anyhow::Result<()> {
        if self.new_cgroup {
            unshare(CloneFlags::CLONE_NEWCGROUP).context("cannot make a cgroup namespace")?;
        }
        Ok(())
    }
}

/// Open namespaces to enter.
#[derive(Debug)]
pub struct Opened {
    before_birth: Vec<(Joined, OwnedFd)>,
    after_birth: Vec<(Joined, OwnedFd)>,
}

impl Opened {
    /// Enters those that must be entered before the box is cloned. For the midwife.
    ///
    /// # Errors
    /// Names the namespace's file.
    pub fn enter_before_birth(&self) -> anyhow::Result<()> {
        enter(&self.before_birth)
    }

    /// Enters the others. For the box.
    ///
    /// # Errors
    /// Names the namespace's file.
    pub fn enter(&self) -> anyhow::Result<()> {
        enter(&self.after_birth)
    }
}

fn enter(list: &[(Joined, OwnedFd)]) -> anyhow::Result<()> {
    for (Joined { flag, path }, file) in list {
        setns(file, CloneFlags::from_bits_retain(*flag))
            .with_context(|| format!("cannot enter the namespace {}", path.display()))?;
    }
    Ok(())
}

fn flag(kind: LinuxNamespaceType) -> CloneFlags {
    match kind {
        LinuxNamespaceType::Mount => CloneFlags::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => CloneFlags::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => CloneFlags::CLONE_NEWIPC,
        LinuxNamespaceType::User => CloneFlags::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => CloneFlags::CLONE_NEWPID,
        LinuxNamespaceType::Network => CloneFlags::CLONE_NEWNET,
        LinuxNamespaceType::Time => CloneFlags::from_bits_retain(libc::CLONE_NEWTIME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_namespace_without_both_maps_is_refused() {
        for maps in ["", r#","uidMappings":[{"containerID":0,"hostID":1,"size":1}]"#] {
            let spec =
                format!(r#"{{"ociVersion":"1.0.2","linux":{{"namespaces":[{{"type":"user"}}]{maps}}}}}"#);
            let spec: Spec = serde_json::from_str(&spec).unwrap();
            let refused = Namespaces::of(&spec).map_ids(&spec, 0).unwrap_err();
            assert!(refused.to_string().contains("both uidMappings and gidMappings"), "{refused}");
        }
    }

    #[test]
    fn sorts_namespaces_by_how_they_are_entered() {
        let spec: Spec = serde_json::from_str(
            r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"cgroup"},
                {"type":"network","path":"/n"},{"type":"pid","path":"/p"},{"type":"user","path":"/u"}]}}"#,
        )
        .unwrap();
        let all = Namespaces::of(&spec);
        assert_eq!(all.new, libc::CLONE_NEWPID | libc::CLONE_NEWNS);
        assert!(all.new_mount() && !all.new_user() && all.new_cgroup && all.need_midwife());
        assert_eq!(all.joined[0].path, PathBuf::from("/n"));
        assert_eq!(all.before_birth[0].path, PathBuf::from("/u"));
    }
}
