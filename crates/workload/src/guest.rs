//! What a Wasm guest gets: arguments, environment, directories.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Process};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::outbound::{Outbound, OutboundError};
use crate::settings::{ContainerSetting, ContainerSettings, SettingError};
use crate::{Job, Workload, World};

/// The settings with the rules for what a guest may reach and look up.
const RULES: &str = "allowed-outbound";
const LOOKUP: &str = "allowed-lookup";

/// The files for name resolution.
const FILES_OF_NAMES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];

/// A guest as every engine must present it to the Wasm code; it sees nothing else of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// The ABI it expects, where it starts, and how it runs.
    pub job: Job,
    /// `argv`; the first is the entrypoint as written.
    pub args: Vec<String>,
    /// The spec's environment, in its order; entries without `=` are dropped, as by libc.
    pub env: Vec<(String, String)>,
    /// The working directory, for worlds that have one.
    pub cwd: String,
    /// The directories it may open: `/` first, then each mount of the spec under its own path.
    pub preopens: Vec<PathBuf>,
    /// What it may connect to and look up.
    pub outbound: Outbound,
    /// The upper limit for all guests of the runtime.
    pub floor: Outbound,
}

/// A setting or a rule of a container is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GuestError {
    /// An invalid setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// An invalid rule.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
}

impl Guest {
    /// The guest that `workload` describes, given its module's `world`.
    ///
    /// # Errors
    /// [`GuestError`] for an invalid annotation or variable.
    pub fn of(workload: &Workload, world: World) -> Result<Self, GuestError> {
        let settings = ContainerSettings::of(workload);
        let job = world.job(workload)?;
        let process = workload.process();
        let cwd = process.cwd().to_string_lossy().into_owned();
        Ok(Self {
            env: env(process, &cwd, job.has_cwd()),
            job,
            args: process.args().clone().unwrap_or_default(),
            cwd,
            preopens: preopens(workload),
            outbound: outbound(&settings)?,
            floor: workload.options.floor()?,
        })
    }
}

/// The spec's environment; where the ABI has no working directory, with that in `PWD`, as from a shell.
fn env(process: &Process, cwd: &str, has_cwd: bool) -> Vec<(String, String)> {
    const CWD: &str = "PWD";
    let split = |pair: &String| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    let mut env: Vec<_> = process.env().iter().flatten().filter_map(split).collect();
    let has_pwd = has_cwd || env.iter().any(|(name, _)| name == CWD);
    if !has_pwd && cwd != "/" {
        env.push((CWD.to_owned(), cwd.to_owned()));
    }
    env
}

/// An image, which may set variables, adds nothing to an annotation: with an annotation's rules, a variable's list of
/// names only restricts the names that the rules need.
fn outbound(settings: &ContainerSettings<'_>) -> Result<Outbound, OutboundError> {
    let (rules, lookup) = (settings.get(RULES), settings.get(LOOKUP));
    let annotated = |setting: &Option<ContainerSetting<'_>>| {
        setting.as_ref().is_some_and(ContainerSetting::is_annotation)
    };
    let narrows = annotated(&rules) && !annotated(&lookup);
    let (rules, lookup) =
        (rules.as_ref().map(ContainerSetting::text), lookup.as_ref().map(ContainerSetting::text));
    if narrows { Outbound::parse(rules, None)?.narrowed(lookup) } else { Outbound::parse(rules, lookup) }
}

/// `/`, then every user volume. The box decides which are writable.
fn preopens(workload: &Workload) -> Vec<PathBuf> {
    let mounts = workload.spec.mounts().as_deref().unwrap_or_default();
    let volumes = mounts.iter().filter(|mount| is_volume(mount));
    let volumes = volumes.map(|mount| Path::new("/").join(mount.destination()));
    std::iter::once("/".into()).chain(volumes).collect()
}

/// Whether a mount holds user data, rather than a view of the kernel that a guest has no use for.
pub(crate) fn is_volume(mount: &Mount) -> bool {
    const KERNEL: [&str; 7] = ["proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "devtmpfs"];
    let kernel = mount.typ().as_deref().is_some_and(|kind| KERNEL.contains(&kind));
    let path = mount.destination();
    !kernel && path != Path::new("/dev") && !(path == Path::new("/dev/shm") && is_given(mount))
}

/// Whether a mount at `/dev/shm` is the one that clients add to each container: a tmpfs, or the directory of a pod
/// (CRI: `sandboxes/ID/shm`) or of a container (Docker: `mounts/shm`). A volume may be called `shm` as well.
fn is_given(mount: &Mount) -> bool {
    let Some(source) = mount.source().as_deref().filter(|_| has_option(mount, &["bind", "rbind"])) else {
        return true;
    };
    let above = |levels: usize| source.ancestors().nth(levels).and_then(Path::file_name);
    source.ends_with("mounts/shm")
        || above(0) == Some("shm".as_ref()) && above(2) == Some("sandboxes".as_ref())
}

fn has_option(mount: &Mount, names: &[&str]) -> bool {
    let options = mount.options().as_deref().unwrap_or_default();
    options.iter().any(|option| names.contains(&option.as_str()))
}

impl Workload {
    /// Whether this file is used for name resolution and there are rules for names: then no guest of the container
    /// may write to it, or names would lead where the guest likes.
    pub fn trusts(&self, file: &Path) -> bool {
        let settings = ContainerSettings::of(self);
        let rules =
            || settings.get(RULES).is_some() || settings.get(LOOKUP).is_some() || self.options.has_floor();
        FILES_OF_NAMES.iter().any(|name| Path::new("/").join(file) == Path::new(name)) && rules()
    }

    /// Where `path` (relative to the root) is on the host before the box is built: below the root file system, or
    /// below the source of the bind mount that will cover it. By name only: a symbolic link of the image that leads
    /// into a mount is followed in the image.
    pub fn locate(&self, path: &Path) -> (PathBuf, PathBuf) {
        let mounts = self.spec.mounts().as_deref().unwrap_or_default();
        let covering = mounts.iter().rev().find_map(|mount| {
            let below = mount.destination().strip_prefix("/").unwrap_or(mount.destination());
            let source = mount.source().as_ref().filter(|_| has_option(mount, &["bind", "rbind"]))?;
            let rest = path.strip_prefix(below).ok()?;
            Some((self.bundle.join(source), rest.to_owned()))
        });
        covering.unwrap_or_else(|| (self.rootfs(), path.to_owned()))
    }

    /// The spec's mounts that a Wasm box gets, in the spec's order.
    pub fn volumes(&self) -> impl Iterator<Item = &Mount> {
        self.spec.mounts().as_deref().unwrap_or_default().iter().filter(|mount| is_volume(mount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Preview1, Start};

    fn preview1() -> World {
        let start = Start::Command;
        World::Preview1(Preview1 { start, sockets: false, polls: false, foreign: Vec::new() })
    }

    #[test]
    fn a_volume_at_dev_shm_is_one() {
        let check = |source: &str, options: &str, is: bool| {
            let json = format!(r#"{{"destination":"/dev/shm","source":"{source}","options":["{options}"]}}"#);
            assert_eq!(is_volume(&serde_json::from_str(&json).unwrap()), is, "{source}");
        };
        check("shm", "size=65536k", false);
        check("/run/containerd/io.containerd.grpc.v1.cri/sandboxes/1234/shm", "rbind", false);
        check("/var/lib/docker/containers/1234/mounts/shm", "bind", false);
        check("/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/shm", "rbind", true);
        check("/data", "rbind", true);
    }

    #[test]
    fn a_guest_sees_the_spec_and_nothing_else() {
        let json = r#"{"ociVersion":"1.0.2","root":{"path":"rootfs"},
            "process":{"user":{"uid":0,"gid":0},"cwd":"/w","args":["a.wasm","x"],"env":["A=b=c","odd"]},
            "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
                      {"destination":"/dev","type":"tmpfs","source":"tmpfs"},
                      {"destination":"/data","type":"bind","source":"/s","options":["rbind","ro"]},
                      {"destination":"/tmp","type":"tmpfs","source":"tmpfs"}],
            "linux":{"resources":{"memory":{"limit":1048576}}}}"#;
        let workload = Workload::read("c", Path::new("/b"), json.as_bytes(), Options::default()).unwrap();
        let guest = Guest::of(&workload, preview1()).unwrap();
        assert_eq!(guest.args, ["a.wasm", "x"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(guest.env, [pair("A", "b=c"), pair("PWD", "/w")]);
        let env = |has_cwd, cwd: &str| super::env(workload.process(), cwd, has_cwd);
        assert_eq!([env(true, "/w"), env(false, "/")], [vec![pair("A", "b=c")], vec![pair("A", "b=c")]]);
        assert_eq!(guest.preopens, ["/", "/data", "/tmp"].map(PathBuf::from));
        assert_eq!(workload.memory_limit(), Some(1 << 20));
    }

    fn workload(annotations: &str, env: &str) -> Workload {
        let json = format!(
            r#"{{"ociVersion":"1.0.2","root":{{"path":"rootfs"}},"annotations":{{{annotations}}},
            "process":{{"user":{{"uid":0,"gid":0}},"cwd":"/","args":["a.wasm"],"env":[{env}]}},
            "mounts":[{{"destination":"/etc/hosts","type":"bind","source":"/s","options":["rbind","rw"]}},
                      {{"destination":"/etc/other","type":"bind","source":"/s","options":["rbind","rw"]}}]}}"#
        );
        Workload::read("c", Path::new("/b"), json.as_bytes(), Options::default()).unwrap()
    }

    /// An image sets variables; annotations take precedence, and variables add nothing to them.
    #[test]
    fn a_variable_widens_no_annotation() {
        const ALL: &str = r#""LIGHTER_ALLOWED_LOOKUP=*","LIGHTER_ALLOWED_OUTBOUND=*""#;
        let looks_up = |annotations: &str, env: &str, host: &str| {
            outbound(&ContainerSettings::of(&workload(annotations, env))).unwrap().allows_lookup(host)
        };
        let rules = r#""lighter.wasm/allowed-outbound":"a.example,10.0.0.0/8""#;
        let lookup = r#""lighter.wasm/allowed-lookup":"b.example""#;
        let both = format!("{rules},{lookup}");
        assert!(looks_up("", ALL, "c.example"));
        assert!(looks_up(rules, ALL, "a.example") && !looks_up(rules, ALL, "c.example"));
        assert!(looks_up(lookup, ALL, "b.example") && !looks_up(lookup, ALL, "c.example"));
        assert!(looks_up(&both, ALL, "b.example") && !looks_up(&both, ALL, "a.example"));
        assert!(!looks_up(rules, r#""LIGHTER_ALLOWED_LOOKUP=c.example""#, "a.example"), "it may take away");
    }

    #[test]
    fn where_there_are_rules_the_files_of_names_are_trusted() {
        let trusted = |annotations: &str, env: &str| {
            let workload = workload(annotations, env);
            ["/etc/hosts", "/etc/other"].map(|file| workload.trusts(Path::new(file)))
        };
        assert_eq!(trusted("", ""), [false, false]);
        assert_eq!(trusted(r#""lighter.wasm/allowed-outbound":"a""#, ""), [true, false]);
        assert_eq!(trusted("", r#""LIGHTER_ALLOWED_LOOKUP=a""#), [true, false]);
        let mut floored = workload("", "");
        floored.options.allowed_outbound = Some("a".into());
        assert!(floored.trusts(Path::new("/etc/hosts")));
    }
}
