//! The CRI of a private containerd, called as the kubelet calls it. Waits for each answer: scenarios know nothing of
//! futures.
//!
//! `pod` and `container` are the objects, `plan` what a container is created from; `log` is a container's output,
//! `stream` the traffic through the streaming server.

pub mod container;
mod log;
pub mod plan;
pub mod pod;
pub mod stream;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hyper_util::rt::TokioIo;
use k8s_cri::v1;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use tower::service_fn;

use crate::containerd::Containerd;
use crate::image;
use crate::process::{LIMIT, poll};
use crate::runner::{By, Scenario};

/// A connection to the CRI.
pub struct Cri<'a> {
    /// The containerd it is connected to.
    pub daemon: &'a Containerd,
    runtime: Runtime,
    channel: Channel,
}

type Client = RuntimeServiceClient<Channel>;

impl<'a> Cri<'a> {
    /// Connects, and waits until pods can be created.
    ///
    /// # Errors
    /// When containerd does not answer, or reports why it is not ready.
    pub fn connect(daemon: &'a Containerd) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let socket = daemon.socket();
        let dial = service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://containerd").timeout(LIMIT);
        let channel =
            runtime.block_on(endpoint.connect_with_connector(dial)).context("containerd's socket")?;
        let cri = Self { daemon, runtime, channel };
        cri.wait_until_ready()?;
        Ok(cri)
    }

    /// Waits until pods can be created; also after a start of containerd.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn wait_until_ready(&self) -> Result<()> {
        let mut last = Ok(None);
        let ready = poll("the network of pods and their image", Duration::from_secs(10), || {
            last = self.is_ready();
            Ok(last.as_ref().is_ok_and(Option::is_some).then_some(()))
        });
        ready.with_context(|| format!("the last answer was {last:?}"))
    }

    /// The runtime handler under test.
    pub fn runtime(&self) -> &'static str {
        if self.daemon.shim.is_ours() { "lighter" } else { "runc" }
    }

    /// The status of containerd and of its runtime handlers.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn status(&self) -> Result<v1::StatusResponse> {
        let request = v1::StatusRequest { verbose: false };
        self.ask(|mut client| async move { client.status(request).await })
    }

    /// The features that containerd reports for the runtime under test; `None` when it reports none, as up to 1.7. The
    /// kubelet then requests none of them.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn features(&self) -> Result<Option<v1::RuntimeHandlerFeatures>> {
        let handlers = self.status()?.runtime_handlers;
        let named = handlers.into_iter().find(|named| named.name == self.runtime());
        Ok(named.and_then(|named| named.features))
    }

    /// Ends and removes every pod.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn clear(&self) -> Result<()> {
        let listed = self.ask(|mut client| async move {
            client.list_pod_sandbox(v1::ListPodSandboxRequest::default()).await
        })?;
        for pod in listed.items {
            let (stop, remove) = (pod.id.clone(), pod.id);
            let request = v1::StopPodSandboxRequest { pod_sandbox_id: stop };
            self.ask(|mut client| async move { client.stop_pod_sandbox(request).await })?;
            let request = v1::RemovePodSandboxRequest { pod_sandbox_id: remove };
            self.ask(|mut client| async move { client.remove_pod_sandbox(request).await })?;
        }
        Ok(())
    }

    /// Makes one call and returns its answer.
    ///
    /// # Errors
    /// What containerd answered instead, or that it did not in time.
    pub(crate) fn ask<T, F>(&self, call: impl FnOnce(Client) -> F) -> Result<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let client = RuntimeServiceClient::new(self.channel.clone());
        answer(self.runtime.block_on(call(client)))
    }

    /// Stops several containers at once, and kills each that has not ended within `grace` seconds.
    ///
    /// # Errors
    /// The first that containerd answered.
    pub fn stop_together(&self, ids: &[String], grace: i64) -> Result<()> {
        self.runtime.block_on(async {
            let mut stops = JoinSet::new();
            for id in ids {
                let request = v1::StopContainerRequest { container_id: id.clone(), timeout: grace };
                let mut client = RuntimeServiceClient::new(self.channel.clone());
                stops.spawn(async move { answer(client.stop_container(request).await) });
            }
            while let Some(stopped) = stops.join_next().await {
                stopped??;
            }
            Ok(())
        })
    }

    /// The id of an image; `None` when there is no such image.
    ///
    /// # Errors
    /// What containerd answered.
    pub fn image(&self, name: &str) -> Result<Option<String>> {
        Ok(self.image_known(name)?.map(|image| image.id))
    }

    /// An image's numeric user; `None` when it names none.
    ///
    /// # Errors
    /// What containerd answered, or that there is no such image.
    pub fn image_user(&self, name: &str) -> Result<Option<i64>> {
        let image = self.image_known(name)?.with_context(|| format!("there is no image {name}"))?;
        ensure!(image.username.is_empty(), "the user of {name} is a name: {}", image.username);
        Ok(image.uid.map(|user| user.value))
    }

    fn image_known(&self, name: &str) -> Result<Option<v1::Image>> {
        let spec = v1::ImageSpec { image: name.into(), ..Default::default() };
        let request = v1::ImageStatusRequest { image: Some(spec), verbose: false };
        let mut images = ImageServiceClient::new(self.channel.clone());
        let status = answer(self.runtime.block_on(async { images.image_status(request).await }))?;
        Ok(status.image)
    }

    fn is_ready(&self) -> Result<Option<()>> {
        let conditions = self.status()?.status.unwrap_or_default().conditions;
        let needed = ["RuntimeReady", "NetworkReady"];
        let met =
            |name: &&str| conditions.iter().any(|condition| condition.status && condition.r#type == **name);
        // containerd is notified of an imported image by an event.
        let ready = needed.iter().all(met) && self.image(image::PAUSE)?.is_some();
        Ok(ready.then_some(()))
    }
}

fn answer<T>(answered: Result<Response<T>, Status>) -> Result<T> {
    let refused = |status: Status| anyhow!("containerd: {:?}: {}", status.code(), status.message());
    answered.map(Response::into_inner).map_err(refused)
}

/// A scenario on a containerd with the CRI, for any runtime; it leaves no pod, whatever happens.
pub fn any(name: impl Into<String>, check: impl Fn(&Cri<'_>) -> Result<()> + 'static) -> Scenario {
    Scenario { by: By::Cri, ..Scenario::any(name, move |daemon| cleared(daemon, &check)) }
}

/// The same for our shim only.
pub fn ours(name: impl Into<String>, check: impl Fn(&Cri<'_>) -> Result<()> + 'static) -> Scenario {
    Scenario { ours: true, ..any(name, check) }
}

fn cleared(daemon: &Containerd, check: &impl Fn(&Cri<'_>) -> Result<()>) -> Result<()> {
    let cri = Cri::connect(daemon)?;
    let checked = check(&cri);
    let ended = daemon.revive()?;
    // containerd may have been restarted, which ends a connection.
    let cleared = Cri::connect(daemon).and_then(|cri| cri.clear());
    let alive = if ended { Err(anyhow!("containerd ended by itself")) } else { Ok(()) };
    checked.and(alive).and(cleared)
}
