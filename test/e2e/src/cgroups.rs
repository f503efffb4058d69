//! The cgroup driver, the shim itself or systemd: how a container requests it, and the name of its cgroup. Never makes
//! or removes one.

use std::env;
use std::path::Path;

use anyhow::{Result, bail};

/// The environment variable that names the driver: `cgroupfs`, or `systemd`.
const VARIABLE: &str = "LIGHTER_E2E_CGROUPS";

/// The cgroup driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The shim: a directory below one with the tag's name.
    #[default]
    Files,
    /// systemd: a scope of its own for each container, in the system's slice.
    Systemd,
}

impl Driver {
    /// The one the environment names.
    ///
    /// # Errors
    /// When it names none that there is.
    pub fn find() -> Result<Self> {
        match env::var(VARIABLE).as_deref() {
            Err(_) | Ok("cgroupfs") => Ok(Self::Files),
            Ok("systemd") => Ok(Self::Systemd),
            Ok(other) => bail!("{VARIABLE}={other}: give cgroupfs or systemd"),
        }
    }

    /// The cgroup of container `id`, as specs and `ctr` name it.
    pub fn path(self, tag: &str, id: &str) -> String {
        match self {
            Self::Files => format!("/{tag}/{id}"),
            Self::Systemd => format!("system.slice:{tag}:{id}"),
        }
    }

    /// The body of the runtime's options; `None` for the default.
    pub fn options(self) -> Option<&'static str> {
        (self == Self::Systemd).then_some("SystemdCgroup = true\n")
    }

    /// The flags of `ctr run`; `options` is the file of our options, which runc's shim does not read.
    pub fn flags(self, tag: &str, id: &str, options: Option<&Path>) -> Vec<String> {
        if self == Self::Files {
            return vec![];
        }
        let mut flags = vec!["--cgroup".into(), self.path(tag, id)];
        match options {
            Some(file) => flags.extend(["--runtime-config-path".into(), file.display().to_string()]),
            None => flags.push("--runc-systemd-cgroup".into()),
        }
        flags
    }
}

/// Whether `name` is that of a systemd scope of a container.
pub fn is_scope(name: &str, tag: &str) -> bool {
    let container = name.strip_suffix(".scope").and_then(|name| name.strip_prefix(tag));
    container.is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_found_by_the_path_that_asked_for_it() {
        assert_eq!(Driver::Systemd.path("e2e-7-16", "one"), "system.slice:e2e-7-16:one");
        assert!(is_scope("e2e-7-16-one.scope", "e2e-7-16"));
        assert!(!is_scope("e2e-7-16", "e2e-7-16"));
        assert!(!is_scope("e2e-7-161-one.scope", "e2e-7-16"));
    }
}
