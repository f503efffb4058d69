//! The options of the runtime's configuration, from containerd's options message.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Outbound, OutboundError};

/// The runtime options, from any of the messages that carry them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// Let systemd create the cgroups; the spec's path is then `slice:prefix:name`.
    pub systemd_cgroup: bool,
    /// Leave Linux programs in the session keyring of the user who started them.
    pub no_new_keyring: bool,
    /// The cgroup that the pod's daemon moves into; empty for the one it was started in.
    pub shim_cgroup: String,
    /// The owner of the pipes of standard input, output and error; 0 for the container's user.
    pub io_uid: u32,
    /// Their group; 0 leaves it unchanged.
    pub io_gid: u32,
    /// Where to keep the state of Linux containers, a directory per containerd namespace; empty for the bundle.
    pub root: String,
    /// The directory for compiled code, or `off`; empty for the default.
    pub cache_dir: String,
    /// Its max size, in MiB; 0 for the default.
    pub cache_mib: u64,
    /// The max memory for compiling one module, in MiB; 0 for the default.
    pub compile_mib: u64,
    /// The max time for compiling one module, in seconds; 0 for the default.
    pub compile_seconds: u64,
    /// How many modules the node may compile at once; 0 for the default.
    pub compile_jobs: u64,
    /// The engine for guests whose containers request none; empty for the first that can run them.
    pub engine: String,
    /// Load the WasmEdge plug-ins that `WASMEDGE_PLUGIN_PATH` names in containerd's environment: native code, in
    /// every guest's process.
    pub wasmedge_plugins: bool,
    /// The engines that may run guests, whatever their containers request; `None` for all.
    pub engines: Option<Vec<String>>,
    /// Whether Linux programs may run, other than the pods' own sandboxes.
    pub linux_programs: LinuxPrograms,
    /// The most that any guest may connect to, in the format of the annotation `lighter.wasm/allowed-outbound`.
    pub allowed_outbound: Option<String>,
    /// The most that any guest may look up, in the format of the annotation `lighter.wasm/allowed-lookup`.
    pub allowed_lookup: Option<String>,
}

/// Whether Linux programs may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinuxPrograms {
    /// They run like guests.
    #[default]
    Allow,
    /// Guests only.
    Deny,
}

/// The TOML body is not valid.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "the runtime options are not what the shim understands: {0}; see the runtime's options table in containerd's config.toml"
)]
pub struct OptionsError(String);

impl Options {
    /// The keys of a TOML body.
    const KEYS: [&str; 17] = [
        "SystemdCgroup",
        "NoNewKeyring",
        "ShimCgroup",
        "IoUid",
        "IoGid",
        "Root",
        "CacheDir",
        "CacheMib",
        "CompileMib",
        "CompileSeconds",
        "CompileJobs",
        "Engine",
        "WasmedgePlugins",
        "Engines",
        "LinuxPrograms",
        "AllowedOutbound",
        "AllowedLookup",
    ];

    /// Parses the TOML text of a `runtimeoptions.v1.Options` body. Also returns its keys that the shim does not know.
    /// An empty body yields the defaults.
    ///
    /// # Errors
    /// [`OptionsError`] for text that is not TOML or a value of the wrong type.
    pub fn from_toml(body: &str) -> Result<(Self, Vec<String>), OptionsError> {
        let refused = |reason: toml::de::Error| OptionsError(reason.message().to_owned());
        let table: toml::Table = body.parse().map_err(refused)?;
        let unknown = table.keys().filter(|key| !Self::KEYS.contains(&key.as_str())).cloned().collect();
        Ok((table.try_into().map_err(refused)?, unknown))
    }

    /// The upper limit of what any guest may reach.
    ///
    /// # Errors
    /// Names the option and its invalid item.
    pub fn floor(&self) -> Result<Outbound, OutboundError> {
        Outbound::floor(self.allowed_outbound.as_deref(), self.allowed_lookup.as_deref())
    }

    /// Whether there is such a limit.
    pub fn has_floor(&self) -> bool {
        self.allowed_outbound.is_some() || self.allowed_lookup.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_body_containerd_sends() {
        assert_eq!(Options::from_toml(""), Ok((Options::default(), vec![])));
        let systemd = Options { systemd_cgroup: true, ..Options::default() };
        let body = "SystemdCgroup = true\nBinaryName = 'x'";
        assert_eq!(Options::from_toml(body), Ok((systemd, vec!["BinaryName".into()])));
        let (all, unknown) = Options::from_toml(
            "NoNewKeyring = true\nShimCgroup = '/s'\nIoUid = 1\nIoGid = 2\nRoot = '/r'\nSystemdCgroup = false",
        )
        .unwrap();
        assert!(unknown.is_empty() && all.no_new_keyring);
        assert_eq!((all.shim_cgroup.as_str(), all.io_uid, all.io_gid, all.root.as_str()), ("/s", 1, 2, "/r"));
        let (cached, unknown) = Options::from_toml("CacheDir = 'off'\nCacheMib = 64").unwrap();
        assert_eq!((cached.cache_dir.as_str(), cached.cache_mib, unknown), ("off", 64, vec![]));
        let (bounded, unknown) =
            Options::from_toml("CompileMib = 64\nCompileSeconds = 3\nCompileJobs = 1").unwrap();
        let bounds = (bounded.compile_mib, bounded.compile_seconds, bounded.compile_jobs);
        assert_eq!((bounds, unknown), ((64, 3, 1), vec![]));
        let (engines, unknown) = Options::from_toml("Engine = 'x'\nWasmedgePlugins = true").unwrap();
        assert_eq!((engines.engine.as_str(), engines.wasmedge_plugins, unknown), ("x", true, vec![]));
        let body = "Engines = ['x']\nLinuxPrograms = 'deny'\nAllowedOutbound = 'a b'\nAllowedLookup = '*'";
        let (narrow, unknown) = Options::from_toml(body).unwrap();
        let error = narrow.floor().unwrap_err().to_string();
        assert!(
            narrow.has_floor() && error.starts_with("the option AllowedOutbound names \"a b\", "),
            "{error}"
        );
        assert_eq!((narrow.engines, narrow.linux_programs), (Some(vec!["x".into()]), LinuxPrograms::Deny));
        assert_eq!(unknown, [""; 0]);
        let wrong = [
            "SystemdCgroup = 'yes'",
            "IoUid = -1",
            "Root = 1",
            "= 1",
            "LinuxPrograms = 'no'",
            "Engines = 'x'",
        ];
        for wrong in wrong {
            assert!(Options::from_toml(wrong).is_err(), "{wrong}");
        }
    }
}
