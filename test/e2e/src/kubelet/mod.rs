//! What the kubelet does with a pod's YAML: it turns the fields into CRI calls, in the kubelet's order, with its files,
//! probes and restarts.
//!
//! `manifest` parses, `volumes` writes the files, `translate` makes a container's CRI configuration. The tests run the
//! examples that users copy.

pub mod manifest;
mod translate;
mod volumes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hyper::{Request, Response};
use k8s_cri::v1;

use crate::cri::Cri;
use crate::cri::container::Container;
use crate::cri::pod::Pod;
use crate::http::client::ask;
use crate::net::Net;
use crate::process::{LIMIT, poll};

use manifest::{Manifest, Probe};
use volumes::Volumes;

/// The interval between probes.
const PERIOD: Duration = Duration::from_millis(20);
/// A pod's default grace period, in seconds.
const GRACE: i64 = 30;

/// One pod in the kubelet's care.
pub struct Kubelet<'a> {
    pod: &'a Pod<'a>,
    manifest: &'a Manifest,
    volumes: Volumes,
    containers: BTreeMap<String, Attempt<'a>>,
}

/// A container, and how many of that name there were before.
struct Attempt<'a> {
    number: u32,
    container: Container<'a>,
}

impl Manifest {
    /// Creates the pod without its containers.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn sandbox<'a>(&self, cri: &'a Cri<'a>) -> Result<Pod<'a>> {
        let name = &self.metadata.name;
        let mut plan = cri.pod(name).run_by(&self.handler);
        for (key, value) in &self.metadata.annotations {
            plan = plan.annotation(key, value);
        }
        for (key, value) in &self.metadata.labels {
            plan = plan.label(key, value);
        }
        plan.linux(|linux| {
            // Whatever the containers request.
            linux.security_context.get_or_insert_default().seccomp =
                Some(translate::seccomp("RuntimeDefault"));
        })
        .run()
        .with_context(|| format!("the pod {name}"))
    }
}

impl<'a> Kubelet<'a> {
    /// Writes the files of `pod`, which was created from `manifest`.
    ///
    /// # Errors
    /// When a volume refers to a missing object.
    pub fn new(pod: &'a Pod<'a>, manifest: &'a Manifest) -> Result<Self> {
        Ok(Self { pod, manifest, volumes: Volumes::lay_out(pod, manifest)?, containers: BTreeMap::new() })
    }

    /// Starts everything in the manifest's order: each init container after the end of the one before, or as soon as
    /// that has started if it is a sidecar; then the others without waiting.
    ///
    /// # Errors
    /// When one cannot be started, or an init container fails.
    pub fn start_all(&mut self) -> Result<()> {
        self.start_init()?;
        let names: Vec<&str> = self.manifest.spec.containers.iter().map(|one| one.name.as_str()).collect();
        names.into_iter().try_for_each(|name| self.start(name))
    }

    /// Starts the init containers.
    ///
    /// # Errors
    /// When one cannot be started, or an init container fails.
    pub fn start_init(&mut self) -> Result<()> {
        for one in &self.manifest.spec.init_containers {
            self.start(&one.name)?;
            if !one.is_sidecar() {
                self.of(&one.name)?
                    .finish()?
                    .ok()
                    .with_context(|| format!("the init container {}", one.name))?;
            } else if let Some(probe) = &one.startup_probe {
                self.passes(&one.name, probe)?;
            }
        }
        Ok(())
    }

    /// Starts the container called `name`, for the first time or again.
    ///
    /// # Errors
    /// When it is running, or cannot be started.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let number = match self.containers.remove(name) {
            None => 0,
            Some(Attempt { number, container }) => {
                let state = container.status()?.state();
                ensure!(state == v1::ContainerState::ContainerExited, "{name} is {state:?}");
                container.remove()?;
                number + 1
            }
        };
        let config = translate::container(self, name)?;
        let plan = self.pod.container(name).with(|plan| {
            let linux = plan.linux.take().unwrap_or_default();
            let kept = linux.security_context.and_then(|security| security.namespace_options);
            *plan = config;
            plan.metadata = Some(v1::ContainerMetadata { name: name.into(), attempt: number });
            plan.log_path = format!("{name}-{number}.log");
            let linux = plan.linux.get_or_insert_default();
            linux.security_context.get_or_insert_default().namespace_options = kept;
        });
        let container = plan.start().with_context(|| format!("the container {name}"))?;
        self.containers.insert(name.into(), Attempt { number, container });
        Ok(())
    }

    /// The container called `name` that was started last.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(&self, name: &str) -> Result<&Container<'a>> {
        Ok(&self.containers.get(name).with_context(|| format!("{name} was not started"))?.container)
    }

    /// The lines that `name` has logged since its last start; none if it was not started.
    pub fn said(&self, name: &str) -> Vec<String> {
        let log = self.of(name).and_then(Container::log).unwrap_or_default();
        log.into_iter().map(|[.., line]| line).collect()
    }

    /// Waits until the readiness probe of `name` succeeds.
    ///
    /// # Errors
    /// When it has none, or does not succeed in time.
    pub fn is_ready(&self, name: &str) -> Result<()> {
        let probe = self.manifest.container(name)?.readiness_probe.as_ref();
        self.passes(name, probe.with_context(|| format!("{name} has no readiness probe"))?)
    }

    /// Runs the liveness probe of `name` once.
    ///
    /// # Errors
    /// When it has none.
    pub fn is_alive(&self, name: &str) -> Result<bool> {
        let probe = self.manifest.container(name)?.liveness_probe.as_ref();
        Ok(self.probe(name, probe.with_context(|| format!("{name} has no liveness probe"))?).is_ok())
    }

    /// Runs the readiness probe of `name` once and returns the answer's status.
    ///
    /// # Errors
    /// When the probe fails.
    pub fn probe_readiness(&self, name: &str) -> Result<u16> {
        let probe = self.manifest.container(name)?.readiness_probe.as_ref();
        self.probe(name, probe.with_context(|| format!("{name} has no readiness probe"))?)
    }

    fn passes(&self, name: &str, probe: &Probe) -> Result<()> {
        let mut last = Ok(0);
        let passed = poll(&format!("the probe of {name}"), LIMIT, || {
            last = self.probe(name, probe);
            if last.is_err() {
                let status = self.of(name)?.status()?;
                ensure!(
                    status.state() != v1::ContainerState::ContainerExited,
                    "{name} has ended: {status:?}"
                );
                thread::sleep(PERIOD);
            }
            Ok(last.is_ok().then_some(()))
        });
        passed.with_context(|| last.map_or_else(|error| format!("{error:#}"), |status| status.to_string()))
    }

    /// Sends GET from the node to the pod's address.
    fn probe(&self, name: &str, probe: &Probe) -> Result<u16> {
        let port = self.manifest.container(name)?.port(&probe.http_get.port)?;
        let request =
            Request::get(&probe.http_get.path).header("user-agent", "kube-probe/1.33").body(String::new())?;
        let status = self.ask_from_node(port, request)?.status();
        if status.is_success() || status.is_redirection() {
            return Ok(status.as_u16());
        }
        bail!("{name} answers {status}")
    }

    /// Sends a request from the node to a server of the pod, at the pod's address.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask_from_node(&self, port: u16, request: Request<String>) -> Result<Response<String>> {
        let net = self.pod.cri.daemon.net.as_ref().context("a containerd without a network of its own")?;
        ask(net, SocketAddr::new(self.pod.address()?.into(), port), request)
    }

    /// Sends a request to a server of the pod from within, at its localhost.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask_within(&self, port: u16, request: Request<String>) -> Result<Response<String>> {
        ask(&self.net()?, SocketAddr::from(([127, 0, 0, 1], port)), request)
    }

    /// The pod's network.
    ///
    /// # Errors
    /// When containerd does not report the pod's process.
    pub fn net(&self) -> Result<Net> {
        Ok(Net::of(self.pod.pid()?))
    }

    /// Stops the pod: the containers at once, each with the pod's grace period, then the sidecars among the init
    /// containers, the last one first, then the rest.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn stop(&self) -> Result<()> {
        let grace = self.manifest.spec.termination_grace_period_seconds.unwrap_or(GRACE);
        let started = |name: &str| self.containers.get(name).map(|attempt| attempt.container.id.clone());
        let main: Vec<String> =
            self.manifest.spec.containers.iter().filter_map(|one| started(&one.name)).collect();
        self.pod.cri.stop_together(&main, grace)?;
        for one in self.manifest.spec.init_containers.iter().rev().filter(|one| one.is_sidecar()) {
            self.of(&one.name)?.stop(grace)?;
        }
        self.pod.stop()
    }
}
