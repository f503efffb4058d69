//! Writes a spec's `linux.resources` to the kernel's files.

mod settings;
mod v1;
mod v2;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, ensure};
use oci_spec::runtime::LinuxResources;

use self::settings::Setting;
use super::dirs::CgroupDirs;

impl CgroupDirs {
    /// Sets limits; what `resources` does not name stays as it is.
    ///
    /// # Errors
    /// Names the file and the kernel's error, or the limit that this host does not support.
    pub fn limit(&self, resources: &LinuxResources) -> anyhow::Result<()> {
        let settings = match self.unified() {
            Some(_) => v2::settings(resources)?,
            None => v1::settings(resources)?,
        };
        let mut refused = Vec::new();
        for setting in settings {
            match self.set(&setting) {
                // Retried below: a quota longer than the old period, for example, depends on a later setting.
                Err(_) if ["cpu", "memory"].contains(&setting.controller) => refused.push(setting),
                done => done?,
            }
        }
        refused.iter().try_for_each(|setting| self.set(setting))
    }

    fn set(&self, Setting { controller, file, value }: &Setting) -> anyhow::Result<()> {
        check_name(file)?;
        let dir = self.of_controller(controller).with_context(|| {
            format!("cannot set {file} to {value:?}: this host has no {controller} controller")
        })?;
        let path = dir.join(file);
        if file == "memory.swap.max" && ["0", "max"].contains(&value.as_str()) && !path.exists() {
            // A kernel that does not count swap: the limit holds already, or cannot be had.
            return Ok(());
        }
        write(&path, value).with_context(|| format!("cannot write {value:?} to {}", path.display()))
    }
}

/// Opens an existing file only: creating one fails with a misleading "permission denied".
fn write(path: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all(value.as_bytes())
}

/// A spec supplies some file names, or parts of them: none may leave the cgroup.
fn check_name(file: &str) -> anyhow::Result<()> {
    ensure!(!file.contains('/'), "the spec's resources name {file:?}: that is no file of a cgroup");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_cannot_name_a_file_elsewhere() {
        assert!(check_name("hugetlb.2MB.max").is_ok());
        for file in ["../memory.max", "hugetlb./../../x.max", "/etc/passwd"] {
            assert!(check_name(file).is_err(), "{file}");
        }
    }
}
