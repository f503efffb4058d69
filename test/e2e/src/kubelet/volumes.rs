//! The files that the kubelet makes for a pod, below its directory: volumes, `/etc/hosts`, termination logs.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::manifest::{Kind, Manifest, Volume};
use crate::cri::pod::Pod;

/// The files of one pod.
pub struct Volumes {
    dir: PathBuf,
    /// Whether each volume is read-only, because only the kubelet changes it.
    read_only: BTreeMap<String, bool>,
}

impl Volumes {
    pub fn lay_out(pod: &Pod<'_>, manifest: &Manifest) -> Result<Self> {
        let dir = pod.cri.daemon.scope.dir.join("tmp/pods").join(&pod.id);
        fs::create_dir_all(&dir)?;
        let mut volumes = Self { dir, read_only: BTreeMap::new() };
        for volume in &manifest.spec.volumes {
            let read_only = volumes.lay_out_one(volume, manifest)?;
            volumes.read_only.insert(volume.name.clone(), read_only);
        }
        let (address, name) = (pod.address()?, &manifest.metadata.name);
        let hosts = format!(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n\
             ::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{name}\n"
        );
        fs::write(volumes.hosts(), hosts)?;
        Ok(volumes)
    }

    fn lay_out_one(&self, volume: &Volume, manifest: &Manifest) -> Result<bool> {
        let place = self.dir.join(&volume.name);
        fs::create_dir(&place)?;
        let named = match (&volume.empty_dir, &volume.secret, &volume.config_map) {
            (Some(_), None, None) => {
                fs::set_permissions(&place, Permissions::from_mode(0o777))?;
                return Ok(false);
            }
            (None, Some(secret), None) => (Kind::Secret, secret.secret_name.clone()),
            (None, None, Some(map)) => (Kind::ConfigMap, map.name.clone()),
            _ => bail!("the volume {} is not of one kind", volume.name),
        };
        let files = manifest.files.get(&named).with_context(|| format!("there is no {named:?}"))?;
        write(&place, files)?;
        Ok(true)
    }

    /// The directory of the volume `name`, and whether it is read-only wherever it is mounted.
    pub fn at(&self, name: &str) -> Result<(PathBuf, bool)> {
        let read_only = self.read_only.get(name).with_context(|| format!("there is no volume {name}"))?;
        Ok((self.dir.join(name), *read_only))
    }

    /// `/etc/hosts`.
    pub fn hosts(&self) -> PathBuf {
        self.dir.join("etc-hosts")
    }

    /// The termination log of the container `name`.
    pub fn last_words(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("{name}-termination-log"));
        fs::write(&path, "")?;
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        Ok(path)
    }
}

/// Writes the files as the kubelet does, so that all change at once: they are in a directory whose name has the
/// time, to which `..data` links, to which each file's name links.
fn write(place: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    const STAMPED: &str = "..2024_01_01_00_00_00.1";
    fs::create_dir(place.join(STAMPED))?;
    symlink(STAMPED, place.join("..data"))?;
    for (name, text) in files {
        let file = place.join(STAMPED).join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        symlink(format!("..data/{name}"), place.join(name))?;
    }
    Ok(())
}
