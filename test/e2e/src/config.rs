//! The configuration of a private containerd: everything below one directory, nothing of the machine's.
//!
//! It is written in version 2 of the format, which every containerd reads; those with version 3 (2.0) and 4 (2.3)
//! migrate the CRI plug-in section to the plug-ins that replaced it.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::image;
use crate::scope::Scope;
use crate::versions::{Install, RUNTIME, Shim};

/// Plug-ins that reach out of the directory, or cost time, and serve no test. Each version knows
/// some of the names and ignores the others.
const DISABLED: [&str; 6] = [
    "io.containerd.internal.v1.tracing",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
];
/// The plug-ins of the CRI, off where no test needs it.
const CRI: [&str; 4] = [
    "io.containerd.cri.v1.images",
    "io.containerd.cri.v1.runtime",
    "io.containerd.grpc.v1.cri",
    "io.containerd.nri.v1.nri",
];
/// The annotations of a pod that reach the Lighter shim.
const ANNOTATIONS: [&str; 7] = [
    "*.wasm.*",
    "wasm.*",
    "module.wasm.image/*",
    "*.module.wasm.image",
    "module.wasm.image/variant.*",
    "run.oci.handler",
    "lighter.wasm/*",
];
/// The runtime for containers that are not ours.
const RUNC: &str = "io.containerd.runc.v2";
/// Where distributions put the CNI plug-ins.
const PLUGINS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// The configuration without the CRI.
pub(crate) fn plain(dir: &Path) -> String {
    let disabled: Vec<&str> = DISABLED.into_iter().chain(CRI).collect();
    base(dir, &disabled)
}

/// The configuration with the CRI: a runtime handler for Lighter, one for runc, pods on a bridge.
pub(crate) fn with_cri(scope: &Scope, shim: &Shim, install: &Install) -> String {
    let lighter = runtime_of(scope, shim, install);
    let at = |name: &str| scope.dir.join(name).display().to_string();
    let plugins = PLUGINS.into_iter().find(|dir| Path::new(dir).is_dir()).unwrap_or(PLUGINS[0]);
    let pause = image::PAUSE;
    let (base, conf, runc) = (base(&scope.dir, &DISABLED), at("cni/conf"), at("runc"));
    format!(
        r#"{base}
[plugins."io.containerd.nri.v1.nri"]
disable = true
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = {pause:?}
restrict_oom_score_adj = true
tolerate_missing_hugetlb_controller = true
enable_selinux = false
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"
stats_collect_period = 1
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {plugins:?}
conf_dir = {conf:?}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.lighter]
{lighter}
pod_annotations = {ANNOTATIONS:?}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = {RUNC:?}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = {runc:?}
"#
    )
}

/// The handler's runtime, as in crates/docs/kubernetes.md. A containerd that queries the features only of a runtime
/// with runc's name gets that name and our path.
fn runtime_of(scope: &Scope, shim: &Shim, install: &Install) -> String {
    if shim.is_ours() && install.asks_only_runc() {
        let path = scope.dir.join("bin").join(shim.program());
        return format!("runtime_type = {RUNC:?}\nruntime_path = {path:?}");
    }
    format!("runtime_type = {:?}", if shim.is_ours() { &shim.runtime } else { RUNTIME })
}

/// Writes the network of pods: a bridge in containerd's own network namespace.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_network(scope: &Scope) -> Result<()> {
    let conf = scope.dir.join("cni/conf");
    fs::create_dir_all(&conf)?;
    let network = json!({
        "cniVersion": "0.4.0",
        "name": scope.tag,
        "plugins": [{
            "type": "bridge",
            "bridge": "pods",
            "isGateway": true,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": scope.dir.join("cni/networks"),
                "ranges": [[{ "subnet": "10.88.0.0/24" }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    });
    Ok(fs::write(conf.join("pods.conflist"), network.to_string())?)
}

fn base(dir: &Path, disabled: &[&str]) -> String {
    let at = |name: &str| dir.join(name).display().to_string();
    format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = {disabled:?}\n\
         [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n",
        at("root"),
        at("state"),
        at("c.sock"),
        at("t.sock"),
        at("opt"),
    )
}
