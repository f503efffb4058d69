//! The spec of a Linux container as libcontainer can take it: what it reads more narrowly than runc does is
//! said in its words here.

use std::fs::{self, File};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use oci_spec::runtime::{LinuxNamespaceType, Mount, MountBuilder, Process, Spec};
use workload::Workload;

use crate::cgroup::Folders;
use crate::idmap::IdMaps;
use crate::namespaces::Namespaces;
use crate::rootfs::additions::env_with_home;
use crate::volumes::propagation_of_root;
use crate::{cgroup, privileges, profile, stage};

/// Writes the spec into a bundle of libcontainer's own: with an absolute root, with HOME where the image's
/// environment has none (libcontainer would ask the C library, which could load code from the image), and
/// with the sources of binds where [`crate::stage`] has put them.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write(
    workload: &Workload,
    namespaces: &Namespaces,
    folder: &Path,
    staged: &[(usize, PathBuf)],
) -> anyhow::Result<()> {
    let mut spec = workload.spec.clone();
    if let Some(root) = spec.root_mut() {
        root.set_path(workload.rootfs());
    }
    if let Some(process) = spec.process_mut() {
        process.set_env(Some(env_with_home(workload)));
        say_powers(process);
    }
    if let Some(linux) = spec.linux_mut() {
        linux.set_seccomp(linux.seccomp().as_ref().map(profile::as_meant).transpose()?);
        let propagation = linux.rootfs_propagation().as_deref().map(propagation_of_root);
        linux.set_rootfs_propagation(propagation);
        if cgroup::is_by_systemd(workload) {
            linux.set_resources(linux.resources().as_ref().map(cgroup::without_cpuset));
        }
        linux.set_cgroups_path(Some(cgroup::path_of(workload)));
    }
    stage::redirect(&mut spec, staged);
    open_namespaces(namespaces, &mut spec)?;
    replace_cgroup_mount(workload, &mut spec)?;
    let path = folder.join("config.json");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer(std::io::BufWriter::new(file), &spec)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// libcontainer leaves every capability to a program of whose capabilities nothing is said, and installs the seccomp
/// filter too late wherever anything is said of `noNewPrivileges`.
fn say_powers(process: &mut Process) {
    process.set_capabilities(Some(privileges::granted(process)));
    process.set_no_new_privileges(process.no_new_privileges().filter(|forbidden| *forbidden));
}

/// libcontainer opens the files of namespaces when it is in the user namespace already, whose root may not
/// reach them. Opened before, they are reached through this process's own descriptors, which its children
/// have as well and which end with it. A new user namespace is made before, too: libcontainer wants `newuidmap` of the
/// host where there is more than one map.
fn open_namespaces(namespaces: &Namespaces, spec: &mut Spec) -> anyhow::Result<()> {
    if !namespaces.in_user() {
        return Ok(());
    }
    let Some(linux) = spec.linux_mut() else { return Ok(()) };
    let maps = IdMaps::of(linux.uid_mappings().as_deref(), linux.gid_mappings().as_deref());
    for namespace in linux.namespaces_mut().iter_mut().flatten() {
        let file = match (namespace.path(), &maps) {
            (Some(path), _) => {
                File::open(path).with_context(|| format!("cannot open the namespace {}", path.display()))?
            }
            (None, Some(maps)) if namespace.typ() == LinuxNamespaceType::User => maps.namespace()?,
            (None, _) => continue,
        };
        namespace.set_path(Some(format!("/proc/self/fd/{}", file.into_raw_fd()).into()));
    }
    Ok(())
}

/// The container's cgroups where the host has v1: one folder in each hierarchy.
pub(super) fn cgroups_of_v1(workload: &Workload) -> anyhow::Result<Option<Folders>> {
    let folders = Folders::at(&cgroup::path_of(workload))?;
    Ok(folders.unified().is_none().then_some(folders))
}

/// Whether a mount of the spec is to show the container's cgroups.
pub(super) fn is_cgroup(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("cgroup")
}

/// libcontainer mounts the cgroups of v1 writable, whatever the spec says, and with them the whole of each hierarchy
/// that has a name and no controller, systemd's for one. Instead, the container's own folder of each is bound, with
/// the spec's options; [`super::mounted`] does the rest.
fn replace_cgroup_mount(workload: &Workload, spec: &mut Spec) -> anyhow::Result<()> {
    let mounts = spec.mounts().clone().unwrap_or_default();
    let asked = mounts.iter().any(is_cgroup);
    let Some(folders) = cgroups_of_v1(workload)?.filter(|_| asked) else { return Ok(()) };
    let mut replaced = Vec::new();
    for mount in mounts {
        if !is_cgroup(&mount) {
            replaced.push(mount);
            continue;
        }
        replaced.push(with(&mount, "tmpfs", Path::new("tmpfs"), mount.destination(), &["mode=755"])?);
        for ((_, name), source) in folders.hierarchies().zip(folders.all()) {
            // libcontainer makes the cgroup before it mounts anything, but not before it checks the spec.
            fs::create_dir_all(source).with_context(|| format!("cannot make {}", source.display()))?;
            replaced.push(with(&mount, "bind", source, &mount.destination().join(name), &["bind"])?);
        }
    }
    spec.set_mounts(Some(replaced));
    Ok(())
}

/// Another mount with the rights of `model`.
fn with(model: &Mount, kind: &str, source: &Path, target: &Path, more: &[&str]) -> anyhow::Result<Mount> {
    // What lies on it is mounted after it.
    let late = |option: &&String| kind == "bind" || *option != "ro";
    let options = model.options().iter().flatten().filter(late).cloned();
    Ok(MountBuilder::default()
        .destination(target)
        .typ(kind)
        .source(source)
        .options(options.chain(more.iter().map(|option| (*option).to_owned())).collect::<Vec<_>>())
        .build()?)
}
