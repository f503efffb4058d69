//! Translates a Linux container's spec for libcontainer, which reads parts of it more narrowly than runc.

use std::fs::{self, File};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use oci_spec::runtime::{LinuxNamespaceType, Mount, MountBuilder, Process, Spec};
use workload::Workload;

use crate::cgroup::CgroupDirs;
use crate::idmap::IdMaps;
use crate::namespaces::Namespaces;
use crate::rootfs::additions::env_with_home;
use crate::volumes::propagation_of_root;
use crate::{cgroup, privileges, profile, stage};

/// Writes the spec into a bundle of libcontainer's own: with an absolute root, with HOME where the image's
/// environment lacks it (libcontainer would ask the C library, which could load code from the image), and with the
/// sources of binds where [`crate::stage`] has put them.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write(
    workload: &Workload,
    namespaces: &Namespaces,
    dir: &Path,
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
    let path = dir.join("config.json");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer(std::io::BufWriter::new(file), &spec)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// libcontainer grants every capability to a program without a capability list, and installs the seccomp filter too
/// late whenever `noNewPrivileges` is present.
fn say_powers(process: &mut Process) {
    process.set_capabilities(Some(privileges::granted(process)));
    process.set_no_new_privileges(process.no_new_privileges().filter(|forbidden| *forbidden));
}

/// libcontainer opens namespace files after it has entered the user namespace, whose root may be denied access.
/// Opened here, they are reached through this process's descriptors, which its children inherit and which end with
/// it. A new user namespace is created here, too: for more than one map, libcontainer requires the host's
/// `newuidmap`.
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

/// The container's cgroup if the host has v1: one directory in each hierarchy.
pub(super) fn cgroups_of_v1(workload: &Workload) -> anyhow::Result<Option<CgroupDirs>> {
    let dirs = CgroupDirs::at(&cgroup::path_of(workload))?;
    Ok(dirs.unified().is_none().then_some(dirs))
}

/// Whether a mount of the spec shows the container's cgroups.
pub(super) fn is_cgroup(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("cgroup")
}

/// libcontainer mounts v1 cgroups writable, whatever the spec asks for, and mounts the whole of each hierarchy that
/// has a name and no controller, such as systemd's. Instead, the container's own directory in each is bound, with the
/// spec's options; [`super::mounted`] does the rest.
fn replace_cgroup_mount(workload: &Workload, spec: &mut Spec) -> anyhow::Result<()> {
    let mounts = spec.mounts().clone().unwrap_or_default();
    let asked = mounts.iter().any(is_cgroup);
    let Some(dirs) = cgroups_of_v1(workload)?.filter(|_| asked) else { return Ok(()) };
    let mut replaced = Vec::new();
    for mount in mounts {
        if !is_cgroup(&mount) {
            replaced.push(mount);
            continue;
        }
        replaced.push(with(&mount, "tmpfs", Path::new("tmpfs"), mount.destination(), &["mode=755"])?);
        for ((_, name), source) in dirs.hierarchies().zip(dirs.all()) {
            // libcontainer makes the cgroup before it mounts anything, but not before it checks the spec.
            fs::create_dir_all(source).with_context(|| format!("cannot make {}", source.display()))?;
            replaced.push(with(&mount, "bind", source, &mount.destination().join(name), &["bind"])?);
        }
    }
    spec.set_mounts(Some(replaced));
    Ok(())
}

/// Another mount with the options of `model`.
fn with(model: &Mount, kind: &str, source: &Path, target: &Path, more: &[&str]) -> anyhow::Result<Mount> {
    // Mounts go on top of the tmpfs, so it becomes read-only only afterwards.
    let late = |option: &&String| kind == "bind" || *option != "ro";
    let options = model.options().iter().flatten().filter(late).cloned();
    Ok(MountBuilder::default()
        .destination(target)
        .typ(kind)
        .source(source)
        .options(options.chain(more.iter().map(|option| (*option).to_owned())).collect::<Vec<_>>())
        .build()?)
}
