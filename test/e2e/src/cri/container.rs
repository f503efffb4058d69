//! Containers of pods, and the calls on them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_cri::v1;

use super::Cri;
use super::pod::{Pod, pid};
use crate::output::Output;
use crate::process::{LIMIT, poll};

/// A created container.
pub struct Container<'a> {
    pub(super) pod: &'a Pod<'a>,
    /// Its id.
    pub id: String,
    pub(super) log: PathBuf,
}

impl<'a> Container<'a> {
    pub(crate) fn cri(&self) -> &'a Cri<'a> {
        self.pod.cri
    }

    /// Starts it.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn start(&self) -> Result<()> {
        let request = v1::StartContainerRequest { container_id: self.id.clone() };
        self.pod.cri.ask(|mut client| async move { client.start_container(request).await }).map(drop)
    }

    /// Its status.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn status(&self) -> Result<v1::ContainerStatus> {
        self.verbose()?.status.context("a container without a status")
    }

    /// Its process id.
    ///
    /// # Errors
    /// When containerd does not report it.
    pub fn pid(&self) -> Result<i32> {
        pid(&self.verbose()?.info)
    }

    /// Stops it: SIGTERM, and SIGKILL after `grace` seconds.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn stop(&self, grace: i64) -> Result<()> {
        let request = v1::StopContainerRequest { container_id: self.id.clone(), timeout: grace };
        self.pod.cri.ask(|mut client| async move { client.stop_container(request).await }).map(drop)
    }

    /// Removes it.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn remove(self) -> Result<()> {
        let request = v1::RemoveContainerRequest { container_id: self.id.clone() };
        self.pod.cri.ask(|mut client| async move { client.remove_container(request).await }).map(drop)
    }

    /// Its resource usage.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn stats(&self) -> Result<v1::ContainerStats> {
        let request = v1::ContainerStatsRequest { container_id: self.id.clone() };
        let stats = self.pod.cri.ask(|mut client| async move { client.container_stats(request).await })?;
        stats.stats.context("no statistics")
    }

    /// The same from the list of its pod's containers.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn stats_listed(&self) -> Result<Vec<v1::ContainerStats>> {
        let pod = v1::ContainerStatsFilter { pod_sandbox_id: self.pod.id.clone(), ..Default::default() };
        let request = v1::ListContainerStatsRequest { filter: Some(pod) };
        Ok(self.pod.cri.ask(|mut client| async move { client.list_container_stats(request).await })?.stats)
    }

    /// Sets new limits, those that `change` sets.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn update(&self, change: impl FnOnce(&mut v1::LinuxContainerResources)) -> Result<()> {
        let mut limits = v1::LinuxContainerResources::default();
        change(&mut limits);
        let request = v1::UpdateContainerResourcesRequest {
            container_id: self.id.clone(),
            linux: Some(limits),
            ..Default::default()
        };
        let cri = self.pod.cri;
        cri.ask(|mut client| async move { client.update_container_resources(request).await }).map(drop)
    }

    /// Makes containerd write its output to a new log of the same name.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn reopen_log(&self) -> Result<()> {
        let request = v1::ReopenContainerLogRequest { container_id: self.id.clone() };
        self.pod.cri.ask(|mut client| async move { client.reopen_container_log(request).await }).map(drop)
    }

    /// Runs a program in it to its end, as a probe does; killed after `limit` seconds, 0 for never.
    ///
    /// # Errors
    /// What containerd answered; an exit code is no error.
    pub fn exec(&self, args: &[&str], limit: i64) -> Result<Output> {
        let cmd = args.iter().map(|arg| arg.to_string()).collect();
        let request = v1::ExecSyncRequest { container_id: self.id.clone(), cmd, timeout: limit };
        let done = self.pod.cri.ask(|mut client| async move { client.exec_sync(request).await })?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { code: done.exit_code, stdout: text(done.stdout), stderr: text(done.stderr) })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn ended(&self) -> Result<v1::ContainerStatus> {
        let exited = |status: &v1::ContainerStatus| status.state() == v1::ContainerState::ContainerExited;
        poll("the container's end", LIMIT, || Ok(Some(self.status()?).filter(exited)))
            .with_context(|| format!("it logged {:?}", self.log()))
    }

    /// The path of its log.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    fn verbose(&self) -> Result<v1::ContainerStatusResponse> {
        let request = v1::ContainerStatusRequest { container_id: self.id.clone(), verbose: true };
        self.pod.cri.ask(|mut client| async move { client.container_status(request).await })
    }
}
