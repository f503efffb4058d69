//! The OCI spec of a container, checked once: later code need not check again whether a part is present.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, LinuxResources, Mount, Process, Spec};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Entrypoint, EntrypointError, LinuxPrograms, Options, Pod, Role};

/// A container to run, before its root file system is inspected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workload {
    /// The container's id, as containerd named it.
    pub id: String,
    /// The bundle directory: `config.json`, `rootfs`, the shim's own files.
    pub bundle: PathBuf,
    /// The options of the runtime's configuration.
    pub options: Options,
    /// The spec; `process` and `root` are present.
    pub spec: Spec,
    /// The first argument, parsed.
    pub entrypoint: Entrypoint,
    process: Process,
}

/// What is missing or wrong in a spec.
#[derive(Debug, Error)]
pub enum SpecError {
    /// Not JSON, or not the JSON of a runtime spec.
    #[error("config.json is not an OCI runtime spec: {0}")]
    NotASpec(#[from] serde_json::Error),
    /// No `process` object.
    #[error("config.json has no \"process\": there is nothing to run")]
    NoProcess,
    /// No arguments, or an empty list.
    #[error("config.json has no \"process.args\": give the image an entrypoint or name a file to run")]
    NoArgs,
    /// No `root` object.
    #[error("config.json has no \"root\": there is no file system to find {0:?} in")]
    NoRoot(String),
    /// The working directory must be absolute.
    #[error("config.json says \"process.cwd\" is {0:?}; it must be an absolute path")]
    RelativeCwd(PathBuf),
    /// More than the kernel would pass to a program.
    #[error(
        "argument list too long: arguments and environment take {total} bytes, the longest {longest}; \
         at most {} and {} are passed on",
        MAX_TOTAL,
        MAX_EACH
    )]
    TooLong {
        /// Bytes of all strings with their terminators.
        total: usize,
        /// Bytes of the longest.
        longest: usize,
    },
    /// The first argument is not a valid entrypoint.
    #[error(transparent)]
    Entrypoint(#[from] EntrypointError),
}

/// The kernel's limit for all strings with the default stack limit, see execve(2).
const MAX_TOTAL: usize = 2 << 20;
/// The kernel's limit for one string, `MAX_ARG_STRLEN`.
const MAX_EACH: usize = 128 << 10;

/// Checks a process and returns its entrypoint.
fn check_process(process: &Process) -> Result<Entrypoint, SpecError> {
    let arg0 = process.args().as_ref().and_then(|args| args.first()).ok_or(SpecError::NoArgs)?;
    if !process.cwd().is_absolute() {
        return Err(SpecError::RelativeCwd(process.cwd().clone()));
    }
    check_length(process)?;
    Ok(Entrypoint::parse(arg0)?)
}

/// Applies the limits of a Linux program to a Wasm guest as well, so that they take the same arguments.
fn check_length(process: &Process) -> Result<(), SpecError> {
    let strings = process.args().iter().chain(process.env()).flatten().map(|text| text.len() + 1);
    let (total, longest) = strings.fold((0, 0), |(sum, longest), len| (sum + len, len.max(longest)));
    if total > MAX_TOTAL || longest > MAX_EACH { Err(SpecError::TooLong { total, longest }) } else { Ok(()) }
}

/// The max memory that `resources` allow, in bytes; `None` if unlimited or not set.
pub fn memory_limit(resources: &LinuxResources) -> Option<u64> {
    let limit = resources.memory().as_ref()?.limit()?;
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

impl Workload {
    /// Reads `config.json` of the bundle of container `id`.
    ///
    /// # Errors
    /// [`SpecError`] names the part that is missing or wrong.
    pub fn read(id: &str, bundle: &Path, json: &[u8], options: Options) -> Result<Self, SpecError> {
        let spec: Spec = serde_json::from_slice(json)?;
        let process = spec.process().clone().ok_or(SpecError::NoProcess)?;
        let entrypoint = check_process(&process)?;
        if spec.root().is_none() {
            return Err(SpecError::NoRoot(entrypoint.path));
        }
        Ok(Self { id: id.into(), bundle: bundle.into(), options, spec, entrypoint, process })
    }

    /// The same container with another process, for an exec.
    ///
    /// # Errors
    /// [`SpecError`] names the part of the process that is missing or wrong.
    pub fn with_process(&self, process: Process) -> Result<Self, SpecError> {
        let entrypoint = check_process(&process)?;
        Ok(Self { entrypoint, process, ..self.clone() })
    }

    /// The same container without the init process that its client has put before the entrypoint, if there is one:
    /// for `--init`, Docker and nerdctl bind-mount a program of the node, which starts what follows `--`.
    ///
    /// A guest needs none. It has no children, and every signal that ends a program ends it.
    pub fn behind_init(&self) -> Option<Self> {
        let [init, dashes, args @ ..] = self.process.args().as_deref()? else { return None };
        let mounts = self.spec.mounts().as_deref().unwrap_or_default();
        let brought = mounts.iter().any(|mount| mount.destination() == Path::new(init) && is_bind(mount));
        if !brought || dashes != "--" {
            return None;
        }
        let mut process = self.process.clone();
        process.set_args(Some(args.to_vec()));
        // If nothing follows, or not a path, the init reports that.
        self.with_process(process).ok()
    }

    /// The process to run.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The directory of the root file system. Relative paths begin in the bundle.
    pub fn rootfs(&self) -> PathBuf {
        let path = self.spec.root().as_ref().map_or(Path::new("rootfs"), |root| root.path());
        self.bundle.join(path)
    }

    /// Whether the spec makes the root file system read-only.
    pub fn readonly_rootfs(&self) -> bool {
        self.spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false)
    }

    /// Whether the process has a terminal.
    pub fn terminal(&self) -> bool {
        self.process.terminal().unwrap_or(false)
    }

    /// Whether Linux programs may run, other than the pod's own sandbox.
    pub fn allows_programs(&self) -> bool {
        self.options.linux_programs == LinuxPrograms::Allow
    }

    /// Whether an exec may run a Linux program in a Wasm container.
    pub fn allows_native_exec(&self) -> bool {
        const ALLOW: &str = "lighter.wasm/allow-native-exec";
        self.spec.annotations().as_ref().and_then(|all| all.get(ALLOW)).is_some_and(|value| value == "true")
    }

    /// Whether the spec lets the process bind privileged ports.
    pub fn binds_low_ports(&self) -> bool {
        let capabilities = self.process.capabilities().as_ref();
        let effective = capabilities.and_then(|sets| sets.effective().as_ref());
        effective.is_some_and(|set| set.contains(&Capability::NetBindService))
    }

    /// The resource limits of the spec.
    pub fn resources(&self) -> Option<&LinuxResources> {
        self.spec.linux().as_ref()?.resources().as_ref()
    }

    /// The spec's memory limit, in bytes; `None` if unlimited.
    pub fn memory_limit(&self) -> Option<u64> {
        memory_limit(self.resources()?)
    }

    /// The process's user id on the host: mapped, if the container has a user namespace.
    pub fn host_uid(&self) -> u32 {
        let uid = self.process.user().uid();
        let maps = self.spec.linux().as_ref().and_then(|linux| linux.uid_mappings().as_ref());
        let mapped = maps.into_iter().flatten().find_map(|map| {
            let offset = uid.checked_sub(map.container_id()).filter(|offset| *offset < map.size())?;
            map.host_id().checked_add(offset)
        });
        mapped.unwrap_or(uid)
    }

    /// The `PATH` of the container's environment.
    pub fn search_path(&self) -> Option<&str> {
        let env = self.process.env().as_deref().unwrap_or_default();
        env.iter().find_map(|pair| pair.strip_prefix("PATH="))
    }

    /// The paths of the entrypoint to try in the root file system, in order.
    pub fn entrypoint_candidates(&self) -> Vec<PathBuf> {
        self.entrypoint.candidates(self.process.cwd(), self.search_path())
    }

    /// The annotations, empty when there are none.
    pub fn annotations(&self) -> HashMap<String, String> {
        self.spec.annotations().clone().unwrap_or_default()
    }

    /// The pod of the container.
    pub fn pod(&self) -> Pod {
        Pod::of(&self.id, &self.annotations())
    }

    /// The container's role in its pod.
    pub fn role(&self) -> Role {
        Role::of(&self.annotations())
    }
}

fn is_bind(mount: &Mount) -> bool {
    mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Workload, SpecError> {
        Workload::read("c1", Path::new("/b"), json.as_bytes(), Options::default())
    }

    #[test]
    fn a_whole_spec_is_read() {
        let workload = read(
            r#"{"ociVersion":"1.0.2","root":{"path":"rootfs","readonly":true},
                "process":{"user":{"uid":0,"gid":0},"cwd":"/w","args":["app.wasm#go"],"env":["PATH=/x"]}}"#,
        )
        .unwrap();
        assert_eq!(workload.rootfs(), Path::new("/b/rootfs"));
        assert!(workload.readonly_rootfs());
        assert_eq!(workload.entrypoint_candidates(), [Path::new("x/app.wasm"), Path::new("w/app.wasm")]);
        assert_eq!(workload.pod(), Pod("c1".into()));
    }

    #[test]
    fn a_clients_init_is_not_the_entrypoint() {
        let check = |args: &str, mount: &str, behind: Option<&[&str]>| {
            let workload = read(&format!(
                r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"mounts":[{mount}],
                    "process":{{"user":{{"uid":0,"gid":0}},"cwd":"/","args":[{args}]}}}}"#
            ))
            .unwrap();
            let found = workload.behind_init();
            let words = found.as_ref().map(|found| found.process().args().clone().unwrap());
            assert_eq!(
                words.as_deref(),
                behind.map(|args| args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>()).as_deref(),
                "{args}"
            );
            if let (Some(found), Some([first, ..])) = (found, behind) {
                assert_eq!(found.entrypoint.path, *first);
            }
        };
        let bind = r#"{"destination":"/sbin/docker-init","type":"bind","source":"/usr/bin/docker-init","options":["bind","ro"]}"#;
        let given = r#""/sbin/docker-init","--","app.wasm","x""#;
        check(given, bind, Some(&["app.wasm", "x"]));
        check(r#""/sbin/docker-init","--","--""#, bind, Some(&["--"]));
        check(given, "", None);
        check(given, r#"{"destination":"/sbin/docker-init","type":"tmpfs","source":"tmpfs"}"#, None);
        check(r#""/sbin/docker-init","-s","--","app.wasm""#, bind, None);
        check(r#""/sbin/docker-init","--""#, bind, None);
        check(r#""/sbin/docker-init","--","""#, bind, None);
        check(r#""app.wasm","--","b.wasm""#, bind, None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |json: &str, words: &str| {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        let process = r#"{"user":{"uid":0,"gid":0},"cwd":"/","args":["a"]}"#;
        check("{", "not an OCI runtime spec");
        check(r#"{"ociVersion":"1.0.2"}"#, "no \"process\"");
        check(
            r#"{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"cwd":"/"}}"#,
            "no \"process.args\"",
        );
        check(&format!(r#"{{"ociVersion":"1.0.2","process":{process}}}"#), "no \"root\"");
        check(
            &format!(
                r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"process":{}}}"#,
                process.replace("\"/\"", "\"w\"")
            ),
            "absolute",
        );
        check(
            &format!(
                r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"process":{}}}"#,
                process.replace("\"a\"", "\"#a\"")
            ),
            "names no file",
        );
        let long = process.replace("\"a\"", &format!("\"a\",\"{}\"", "x".repeat(MAX_EACH)));
        check(
            &format!(r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"process":{long}}}"#),
            "argument list too long",
        );
    }
}
