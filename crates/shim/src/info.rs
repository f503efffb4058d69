//! `-version` and `-info`: the version, the engines and the features of this shim.

use std::io::{self, Write};
use std::process::Command;

use anyhow::{Context, ensure};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use serde_json::json;

use crate::companion;
use crate::engines::Engines;

/// The runtime's name in containerd.
const NAME: &str = "io.containerd.lighter.v1";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The type containerd looks for among the features.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// Prints name and version for people; the daemon's program adds its engines.
///
/// # Errors
/// When standard output is closed, or the daemon's program is missing.
pub fn print_version() -> anyhow::Result<()> {
    writeln!(io::stdout(), "containerd-shim-lighter-v1:\n  Version: {VERSION}")
        .context("cannot print the version")?;
    let ended = companion::execute(Command::status)?;
    ensure!(ended.success(), "the daemon's program ended with {ended}");
    Ok(())
}

/// Prints the build of the daemon's program and its engines.
///
/// # Errors
/// When an engine cannot run on this machine, or standard output is closed.
pub fn print_engines() -> anyhow::Result<()> {
    let names = Engines::set_up()?.names();
    writeln!(io::stdout(), "{}\n  Engines: {names}", companion::build()).context("cannot print the engines")
}

/// Prints a `RuntimeInfo` message. It does not depend on the options on standard input, so they are not read.
///
/// # Errors
/// When standard output is closed.
pub fn print_runtime_info() -> anyhow::Result<()> {
    let info = RuntimeInfo {
        name: NAME.into(),
        version: MessageField::some(RuntimeVersion { version: VERSION.into(), ..RuntimeVersion::default() }),
        features: MessageField::some(Any {
            type_url: FEATURES.into(),
            value: serde_json::to_vec(&features())?,
            ..Any::default()
        }),
        ..RuntimeInfo::default()
    };
    let bytes = info.write_to_bytes().context("cannot encode the runtime's info")?;
    io::stdout().write_all(&bytes).context("cannot print the runtime's info")
}

/// OCI features, the JSON of runtime-spec's `features.md`. Only what both kinds of container support.
fn features() -> serde_json::Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.0",
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": [
            "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion", "mand",
            "noatime", "nodev", "nodiratime", "noexec", "nomand", "norelatime", "nostrictatime", "nosuid",
            "private", "rbind", "relatime", "remount", "ro", "rprivate", "rro", "rshared", "rslave", "runbindable", "rw",
            "shared", "slave", "strictatime", "suid", "sync", "unbindable"
        ],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
            "capabilities": [],
            "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": false },
            "seccomp": { "enabled": true },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": true } }
        }
    })
}
