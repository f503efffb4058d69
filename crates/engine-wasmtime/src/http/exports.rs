//! How a guest is asked, in the version of `wasi:http` that it exports.

use http::Request;
use server::{Failure, RequestBody};
use tokio::sync::oneshot;
use wasmtime::component::InstancePre;
use wasmtime::{Engine, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
#[cfg(feature = "p3")]
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use workload::Wasi;

use super::received::{Received, received};
#[cfg(feature = "p3")]
use super::wasi03;
use crate::component::Host;
use crate::ending::{sentence, story};

/// A component that was linked.
pub enum Component {
    /// With `wasi:http/incoming-handler`.
    Wasi02(ProxyPre<Host>),
    /// With `wasi:http/handler`.
    #[cfg(feature = "p3")]
    Wasi03(ServicePre<Host>),
}

/// What a copy of it exports.
pub enum Exports {
    Wasi02(Proxy),
    #[cfg(feature = "p3")]
    Wasi03(Service),
}

/// What a guest says: an answer, or that it has none.
pub type Said = Result<http::Response<wasmtime_wasi_http::WasiBody>, ErrorCode>;

impl Component {
    /// What `linked` exports on `wasi`.
    ///
    /// # Errors
    /// When it has no such export.
    pub fn of(linked: InstancePre<Host>, wasi: Wasi) -> anyhow::Result<Self> {
        match wasi {
            #[cfg(feature = "p3")]
            Wasi::P3 => ServicePre::new(linked).map(Self::Wasi03).map_err(sentence),
            #[cfg(not(feature = "p3"))]
            Wasi::P3 => anyhow::bail!("this build knows no WASI 0.3"),
            Wasi::P2 => ProxyPre::new(linked).map(Self::Wasi02).map_err(sentence),
        }
    }

    /// What it was compiled by.
    pub fn engine(&self) -> &Engine {
        match self {
            Self::Wasi02(component) => component.engine(),
            #[cfg(feature = "p3")]
            Self::Wasi03(component) => component.engine(),
        }
    }

    /// Whether a guest has nothing left to do, as a rule, once its answer is whole. One of 0.2 has returned
    /// before that.
    pub fn ends_with_answer(&self) -> bool {
        !matches!(self, Self::Wasi02(_))
    }

    /// A copy, in `store`.
    pub async fn copy(&self, store: &mut Store<Host>) -> wasmtime::Result<Exports> {
        match self {
            Self::Wasi02(component) => component.instantiate_async(store).await.map(Exports::Wasi02),
            #[cfg(feature = "p3")]
            Self::Wasi03(component) => component.instantiate_async(store).await.map(Exports::Wasi03),
        }
    }
}

impl Exports {
    /// Has the copy in `store` work on `request` until it has nothing left to do; what it says comes by `said`.
    ///
    /// # Errors
    /// When it trapped, or has no answer.
    pub async fn call(
        &self,
        store: &mut Store<Host>,
        request: Request<RequestBody>,
        secure: bool,
        said: oneshot::Sender<Said>,
    ) -> Result<(), Failure> {
        let request = request.map(received);
        match self {
            Self::Wasi02(proxy) => call_02(proxy, store, request, secure, said).await.map_err(trapped),
            // In a box of its own: it is larger than what all others pay for.
            #[cfg(feature = "p3")]
            Self::Wasi03(service) => Box::pin(wasi03::call(service, store, request, secure, said)).await,
        }
    }
}

async fn call_02(
    proxy: &Proxy,
    store: &mut Store<Host>,
    request: Request<Received>,
    secure: bool,
    said: oneshot::Sender<Said>,
) -> wasmtime::Result<()> {
    let mut http = store.data_mut().http();
    let scheme = if secure { Scheme::Https } else { Scheme::Http };
    let request = http.new_incoming_request(scheme, request)?;
    let said = http.new_response_outparam(said)?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, said).await
}

/// What became of a guest that did not return.
pub fn trapped(error: wasmtime::Error) -> Failure {
    match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => Failure::Trapped(format!("it called exit({code})")),
        None => Failure::Trapped(story(&error)),
    }
}
