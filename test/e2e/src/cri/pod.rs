//! Pods, before and after they are created.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use k8s_cri::v1;
use serde_json::Value;

use super::Cri;
use super::plan::ContainerPlan;

/// A pod that is not created yet.
pub struct PodPlan<'a> {
    cri: &'a Cri<'a>,
    runtime: String,
    config: v1::PodSandboxConfig,
}

/// A created pod. It lasts until it is removed, or the scenario ends.
pub struct Pod<'a> {
    /// The connection that created it.
    pub cri: &'a Cri<'a>,
    /// The id of its sandbox.
    pub id: String,
    pub(crate) config: v1::PodSandboxConfig,
}

impl Cri<'_> {
    /// A pod called `name`, in the scope's cgroup, with the runtime under test.
    pub fn pod(&self, name: &str) -> PodPlan<'_> {
        let metadata = v1::PodSandboxMetadata {
            name: name.into(),
            uid: format!("{name}-uid"),
            namespace: "e2e".into(),
            attempt: 0,
        };
        let linux = v1::LinuxPodSandboxConfig {
            cgroup_parent: format!("/{}", self.daemon.scope.tag),
            security_context: Some(v1::LinuxSandboxSecurityContext {
                namespace_options: Some(v1::NamespaceOption {
                    pid: v1::NamespaceMode::Container.into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let config = v1::PodSandboxConfig {
            metadata: Some(metadata),
            hostname: name.into(),
            log_directory: self.daemon.scope.dir.join("log").join(name).display().to_string(),
            linux: Some(linux),
            ..Default::default()
        };
        PodPlan { cri: self, runtime: self.runtime().into(), config }
    }
}

impl<'a> PodPlan<'a> {
    /// An annotation of the pod.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.config.annotations.insert(key.into(), value.into());
        self
    }

    /// A label of the pod.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.config.labels.insert(key.into(), value.into());
        self
    }

    /// Selects another runtime handler than the one under test.
    pub fn run_by(mut self, name: &str) -> Self {
        self.runtime = name.into();
        self
    }

    /// The name server and search domain of its containers.
    pub fn dns(mut self, server: &str, search: &str) -> Self {
        self.config.dns_config = Some(v1::DnsConfig {
            servers: vec![server.into()],
            searches: vec![search.into()],
            options: vec!["ndots:5".into()],
        });
        self
    }

    /// The Linux-specific part, changed by `change`.
    pub fn linux(mut self, change: impl FnOnce(&mut v1::LinuxPodSandboxConfig)) -> Self {
        change(self.config.linux.get_or_insert_default());
        self
    }

    /// The namespaces, changed by `change`; the pod's containers use the same.
    pub fn namespaces(mut self, change: impl Fn(&mut v1::NamespaceOption)) -> Self {
        let mut asked = v1::NamespaceOption::default();
        change(&mut asked);
        if asked.network() == v1::NamespaceMode::Node {
            // The kubelet sets no host name for a pod on the node's network: it has the node's.
            self.config.hostname.clear();
        }
        self.linux(|linux| {
            let security = linux.security_context.get_or_insert_default();
            change(security.namespace_options.get_or_insert_default());
        })
    }

    /// Creates it.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn run(self) -> Result<Pod<'a>> {
        // A log is appended to that of an earlier pod of the same name.
        drop(std::fs::remove_dir_all(&self.config.log_directory));
        std::fs::create_dir_all(&self.config.log_directory)?;
        let request =
            v1::RunPodSandboxRequest { config: Some(self.config.clone()), runtime_handler: self.runtime };
        let made = self.cri.ask(|mut client| async move { client.run_pod_sandbox(request).await })?;
        Ok(Pod { cri: self.cri, id: made.pod_sandbox_id, config: self.config })
    }
}

impl<'a> Pod<'a> {
    /// A container of it, called `name`.
    pub fn container(&'a self, name: &str) -> ContainerPlan<'a> {
        ContainerPlan::of(self, name)
    }

    /// Its status.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn status(&self) -> Result<v1::PodSandboxStatus> {
        self.verbose()?.status.context("a pod without a status")
    }

    /// Its address on the bridge.
    ///
    /// # Errors
    /// When it has none.
    pub fn address(&self) -> Result<Ipv4Addr> {
        let network = self.status()?.network.context("a pod without a network")?;
        network.ip.parse().with_context(|| format!("the pod's address {:?}", network.ip))
    }

    /// The process id of its sandbox.
    ///
    /// # Errors
    /// When containerd does not report it.
    pub fn pid(&self) -> Result<i32> {
        pid(&self.verbose()?.info)
    }

    /// Whether a process in it listens on a TCP port.
    ///
    /// # Errors
    /// When its network cannot be read.
    pub fn listens(&self, port: u16) -> Result<bool> {
        self.has_socket(port, "0A")
    }

    /// Whether a connection to a TCP port of it is established.
    ///
    /// # Errors
    /// When its network cannot be read.
    pub fn is_connected(&self, port: u16) -> Result<bool> {
        self.has_socket(port, "01")
    }

    /// Whether a TCP socket with that local port is in a state, by the kernel's number for it.
    fn has_socket(&self, port: u16, state: &str) -> Result<bool> {
        let pid = self.pid()?;
        let mut lines = String::new();
        for table in ["tcp", "tcp6"] {
            lines += &std::fs::read_to_string(format!("/proc/{pid}/net/{table}"))?;
        }
        // Local address, remote address, state.
        let port = format!(":{port:04X}");
        let is_meant = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.len() > 3 && fields[1].ends_with(&port) && fields[3] == state
        };
        Ok(lines.lines().any(is_meant))
    }

    /// Stops it with all its containers.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn stop(&self) -> Result<()> {
        let request = v1::StopPodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.cri.ask(|mut client| async move { client.stop_pod_sandbox(request).await }).map(drop)
    }

    /// Removes it.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn remove(self) -> Result<()> {
        let request = v1::RemovePodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.cri.ask(|mut client| async move { client.remove_pod_sandbox(request).await }).map(drop)
    }

    /// The directory of its containers' logs.
    pub fn logs(&self) -> PathBuf {
        PathBuf::from(&self.config.log_directory)
    }

    fn verbose(&self) -> Result<v1::PodSandboxStatusResponse> {
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: self.id.clone(), verbose: true };
        self.cri.ask(|mut client| async move { client.pod_sandbox_status(request).await })
    }
}

/// The process id in containerd's verbose information.
pub(crate) fn pid(info: &std::collections::HashMap<String, String>) -> Result<i32> {
    let info: Value = serde_json::from_str(info.get("info").context("no verbose information")?)?;
    let pid = info["pid"].as_i64().context("no process id in the verbose information")?;
    Ok(i32::try_from(pid)?)
}
