//! What a spec's `linux.resources` are in the kernel's files.

mod v1;
mod v2;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, ensure};
use oci_spec::runtime::LinuxResources;

use super::Folders;

/// One line into one file of a cgroup.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    controller: &'static str,
    file: String,
    value: String,
}

impl Folders {
    /// Sets limits; what `resources` does not name stays as it is.
    ///
    /// # Errors
    /// Names the file and what the kernel said of it, or the limit that this host does not know.
    pub fn limit(&self, resources: &LinuxResources) -> anyhow::Result<()> {
        let settings = match self.unified() {
            Some(_) => v2::settings(resources)?,
            None => v1::settings(resources)?,
        };
        let mut refused = Vec::new();
        for setting in settings {
            match self.set(&setting) {
                // Such as a quota longer than the old period: it depends on what comes after it.
                Err(_) if ["cpu", "memory"].contains(&setting.controller) => refused.push(setting),
                done => done?,
            }
        }
        refused.iter().try_for_each(|setting| self.set(setting))
    }

    fn set(&self, Setting { controller, file, value }: &Setting) -> anyhow::Result<()> {
        check_name(file)?;
        let folder = self.of_controller(controller).with_context(|| {
            format!("cannot set {file} to {value:?}: this host has no {controller} controller")
        })?;
        let path = folder.join(file);
        if file == "memory.swap.max" && ["0", "max"].contains(&value.as_str()) && !path.exists() {
            // A kernel that does not count swap: what is asked for is so already, or cannot be had.
            return Ok(());
        }
        write(&path, value).with_context(|| format!("cannot write {value:?} to {}", path.display()))
    }
}

/// The file must be there: a kernel asked to make one says "permission denied", which would mislead.
fn write(path: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all(value.as_bytes())
}

/// A spec names some of the files, or a part of the name: of none outside the cgroup.
fn check_name(file: &str) -> anyhow::Result<()> {
    ensure!(!file.contains('/'), "the spec's resources name {file:?}: that is no file of a cgroup");
    Ok(())
}

/// Collects settings.
#[derive(Default)]
struct Settings(Vec<Setting>);

impl Settings {
    fn set(&mut self, controller: &'static str, file: impl Into<String>, value: impl ToString) {
        self.0.push(Setting { controller, file: file.into(), value: value.to_string() });
    }

    /// Only if there is a value.
    fn given(&mut self, controller: &'static str, file: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(controller, file, value);
        }
    }
}

/// What is the same in v1 and v2.
impl Settings {
    fn set_pids(&mut self, resources: &LinuxResources) {
        let Some(pids) = resources.pids() else { return };
        self.set("pids", "pids.max", if pids.limit() > 0 { pids.limit().to_string() } else { "max".into() });
    }

    fn set_rdma(&mut self, resources: &LinuxResources) {
        for (device, limits) in resources.rdma().iter().flatten() {
            let counts = [("hca_handle", limits.hca_handles()), ("hca_object", limits.hca_objects())];
            let counts = counts.iter().filter_map(|(name, count)| Some(format!(" {name}={}", (*count)?)));
            self.set("rdma", "rdma.max", format!("{device}{}", counts.collect::<String>()));
        }
    }
}

/// `-1` is no limit, and how that is written.
fn unless_unlimited(limit: i64, unlimited: &str) -> String {
    if limit < 0 { unlimited.to_owned() } else { limit.to_string() }
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
