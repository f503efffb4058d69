//! What the runtime's own configuration asks for, from containerd's options message.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The options a shim understands, whichever message carried them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// Let systemd make the cgroups; the path of the spec is then `slice:prefix:name`.
    pub systemd_cgroup: bool,
}

/// The TOML body does not say what it should.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "the runtime options are not what the shim understands: {0}; see the runtime's options table in containerd's config.toml"
)]
pub struct OptionsError(String);

impl Options {
    /// Reads the TOML text of a `runtimeoptions.v1.Options` body. An empty body is the defaults.
    /// Keys the shim does not know are left to other runtimes that share the table.
    ///
    /// # Errors
    /// [`OptionsError`] for text that is not TOML or a value of the wrong type.
    pub fn from_toml(body: &str) -> Result<Self, OptionsError> {
        toml::from_str(body).map_err(|reason| OptionsError(reason.message().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_body_containerd_sends() {
        assert_eq!(Options::from_toml(""), Ok(Options::default()));
        let systemd = Options { systemd_cgroup: true };
        assert_eq!(Options::from_toml("SystemdCgroup = true\nBinaryName = 'x'"), Ok(systemd));
        assert!(Options::from_toml("SystemdCgroup = 'yes'").is_err());
        assert!(Options::from_toml("= 1").is_err());
    }
}
