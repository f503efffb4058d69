//! The configuration of a container to be created.

use std::path::Path;

use anyhow::Result;
use k8s_cri::v1;

use super::container::Container;
use super::pod::Pod;
use crate::guests::Guest;
use crate::image;
use crate::output::Output;

/// A container that is not created yet.
pub struct ContainerPlan<'a> {
    pod: &'a Pod<'a>,
    config: v1::ContainerConfig,
}

impl<'a> ContainerPlan<'a> {
    pub(crate) fn of(pod: &'a Pod<'a>, name: &str) -> Self {
        let linux = pod.config.linux.clone().unwrap_or_default().security_context.unwrap_or_default();
        let security = v1::LinuxContainerSecurityContext {
            namespace_options: linux.namespace_options,
            ..Default::default()
        };
        let config = v1::ContainerConfig {
            metadata: Some(v1::ContainerMetadata { name: name.into(), attempt: 0 }),
            image: Some(v1::ImageSpec { image: image::name(None), ..Default::default() }),
            log_path: format!("{name}.log"),
            linux: Some(v1::LinuxContainerConfig { security_context: Some(security), ..Default::default() }),
            ..Default::default()
        };
        Self { pod, config }
    }

    /// The entrypoint and its arguments.
    pub fn args(mut self, args: &[impl AsRef<str>]) -> Self {
        self.config.command = args.iter().map(|arg| arg.as_ref().into()).collect();
        self
    }

    /// Another image.
    pub fn image(self, name: &str) -> Self {
        self.with(|config| config.image = Some(v1::ImageSpec { image: name.into(), ..Default::default() }))
    }

    /// Runs a shell script.
    pub fn script(self, script: &str) -> Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// Anything else, changed by `change`.
    pub fn with(mut self, change: impl FnOnce(&mut v1::ContainerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Its limits, changed by `change`.
    pub fn limits(self, change: impl FnOnce(&mut v1::LinuxContainerResources)) -> Self {
        self.with(|config| change(config.linux.get_or_insert_default().resources.get_or_insert_default()))
    }

    /// Its security settings, changed by `change`.
    pub fn security(self, change: impl FnOnce(&mut v1::LinuxContainerSecurityContext)) -> Self {
        self.with(|config| {
            change(config.linux.get_or_insert_default().security_context.get_or_insert_default())
        })
    }

    /// A bind of a file or directory of the machine, writable unless `change` says otherwise.
    pub fn mount(self, host: &Path, path: &str, change: impl FnOnce(&mut v1::Mount)) -> Self {
        let mut mount = v1::Mount {
            container_path: path.into(),
            host_path: host.display().to_string(),
            ..Default::default()
        };
        change(&mut mount);
        self.with(|config| config.mounts.push(mount))
    }

    /// Creates and starts it.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn start(self) -> Result<Container<'a>> {
        let container = self.create()?;
        container.start()?;
        Ok(container)
    }

    /// Creates it.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn create(self) -> Result<Container<'a>> {
        let log = self.pod.logs().join(&self.config.log_path);
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: self.pod.id.clone(),
            config: Some(self.config),
            sandbox_config: Some(self.pod.config.clone()),
        };
        let made = self.pod.cri.ask(|mut client| async move { client.create_container(request).await })?;
        Ok(Container { pod: self.pod, id: made.container_id, log })
    }

    /// Creates and starts it, and waits for its end.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn finish(self) -> Result<Output> {
        self.start()?.finish()
    }

    /// Creates and starts one that ends only on a signal, and waits until it prints `ready`.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn ready(self, guest: Guest) -> Result<Container<'a>> {
        let container = self.args(guest.polite()).start()?;
        container.says("ready")?;
        Ok(container)
    }
}
