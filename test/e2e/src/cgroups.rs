//! Who makes the containers' cgroups, the shim itself or systemd for it: how a container is asked
//! for so, and by which name its cgroup is found again. Never makes or removes one.

use std::env;
use std::path::Path;

use anyhow::{Result, bail};

/// The environment variable that names the driver: `cgroupfs`, or `systemd`.
const VARIABLE: &str = "LIGHTER_E2E_CGROUPS";

/// Who makes the cgroups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The shim: a folder below one that is called like the tag.
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

    /// The body of the runtime's options, where the default is not meant.
    pub fn options(self) -> Option<&'static str> {
        (self == Self::Systemd).then_some("SystemdCgroup = true\n")
    }

    /// What `ctr run` must be told; `options` is the file of ours, which runc's shim does not read.
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

/// Whether systemd would call a container's scope so.
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
