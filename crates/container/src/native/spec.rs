//! The spec of a Linux container as libcontainer can take it: what it reads more narrowly than runc does is
//! said in its words here.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use libcgroups::v1::util::list_supported_mount_points;
use oci_spec::runtime::{Mount, MountBuilder, Spec};
use workload::Workload;

use crate::namespaces::Namespaces;
use crate::{cgroup, devices, mounts, rootfs, stage};

/// Writes the spec into a bundle of libcontainer's own: with an absolute root, with HOME where the image's
/// environment has none (libcontainer would ask the C library, which could load code from the image), and
/// with the sources of binds where [`crate::stage`] has put them.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write(workload: &Workload, folder: &Path, staged: &[(usize, PathBuf)]) -> anyhow::Result<()> {
    let mut spec = workload.spec.clone();
    if let Some(root) = spec.root_mut() {
        root.set_path(workload.rootfs());
    }
    if let Some(process) = spec.process_mut() {
        process.set_env(Some(rootfs::env_with_home(workload)));
        let granted = process.capabilities().clone();
        process.set_capabilities(granted.map(|granted| devices::without_mknod(&workload.spec, granted)));
    }
    if let Some(linux) = spec.linux_mut() {
        let propagation = linux.rootfs_propagation().as_deref().map(mounts::propagation_of_root);
        linux.set_rootfs_propagation(propagation);
        if cgroup::is_by_systemd(workload) {
            linux.set_resources(linux.resources().as_ref().map(cgroup::without_cpuset));
        }
        linux.set_cgroups_path(Some(cgroup::path_of(workload)));
    }
    stage::redirect(&mut spec, staged);
    open_namespaces(workload, &mut spec)?;
    replace_cgroup_mount(workload, &mut spec)?;
    let path = folder.join("config.json");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer(std::io::BufWriter::new(file), &spec)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// libcontainer opens the files of namespaces when it is in the user namespace already, whose root may not
/// reach them. Opened before, they are reached through this process's own descriptors, which its children
/// have as well and which end with it.
fn open_namespaces(workload: &Workload, spec: &mut Spec) -> anyhow::Result<()> {
    if !Namespaces::of(&workload.spec).in_user() {
        return Ok(());
    }
    let listed = spec.linux_mut().as_mut().and_then(|linux| linux.namespaces_mut().as_mut());
    for namespace in listed.into_iter().flatten() {
        let Some(path) = namespace.path().clone() else { continue };
        let file =
            File::open(&path).with_context(|| format!("cannot open the namespace {}", path.display()))?;
        namespace.set_path(Some(format!("/proc/self/fd/{}", file.into_raw_fd()).into()));
    }
    Ok(())
}

/// To mount cgroups of v1, libcontainer looks its process up in `/proc` by the number that it has in its own
/// pid namespace. In one that it shares with others the host's `/proc` shows a stranger by that number, or
/// nobody. There the hierarchies are bound one by one instead.
fn replace_cgroup_mount(workload: &Workload, spec: &mut Spec) -> anyhow::Result<()> {
    let of_v1 = !matches!(get_cgroup_setup(), Ok(CgroupSetup::Unified) | Err(_));
    if !of_v1 || !Namespaces::of(&workload.spec).joins(libc::CLONE_NEWPID) {
        return Ok(());
    }
    let own = cgroup::path_of(workload);
    let own = own.strip_prefix("/").unwrap_or(&own);
    // Several controllers may be mounted as one.
    let points: BTreeSet<PathBuf> =
        list_supported_mount_points().context("cannot read the host's cgroups")?.into_values().collect();
    let mut replaced = Vec::new();
    for mount in spec.mounts().iter().flatten() {
        if mount.typ().as_deref() != Some("cgroup") {
            replaced.push(mount.clone());
            continue;
        }
        replaced.push(with(mount, "tmpfs", Path::new("tmpfs"), mount.destination(), &["mode=755"])?);
        for point in &points {
            let Some(name) = point.file_name() else { continue };
            let (source, target) = (point.join(own), mount.destination().join(name));
            // libcontainer makes the cgroup before it mounts anything, but not before it checks the spec.
            fs::create_dir_all(&source).with_context(|| format!("cannot make {}", source.display()))?;
            replaced.push(with(mount, "bind", &source, &target, &["bind"])?);
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
