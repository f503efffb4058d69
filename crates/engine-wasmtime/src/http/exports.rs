//! Calls a guest's handler, in the version of `wasi:http` that it exports.

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
use crate::component::ComponentState;
use crate::ending::{sentence, story};

/// A linked component.
pub enum Component {
    /// With `wasi:http/incoming-handler`.
    Wasi02(ProxyPre<ComponentState>),
    /// With `wasi:http/handler`.
    #[cfg(feature = "p3")]
    Wasi03(ServicePre<ComponentState>),
}

/// The exports of an instance.
pub enum Exports {
    Wasi02(Proxy),
    #[cfg(feature = "p3")]
    Wasi03(Service),
}

/// The response of a guest, or its error code.
pub type GuestResponse = Result<http::Response<wasmtime_wasi_http::WasiBody>, ErrorCode>;

impl Component {
    /// Looks up the handler of `wasi` in `linked`.
    ///
    /// # Errors
    /// When it does not export one.
    pub fn of(linked: InstancePre<ComponentState>, wasi: Wasi) -> anyhow::Result<Self> {
        match wasi {
            #[cfg(feature = "p3")]
            Wasi::P3 => ServicePre::new(linked).map(Self::Wasi03).map_err(sentence),
            #[cfg(not(feature = "p3"))]
            Wasi::P3 => anyhow::bail!("this build knows no WASI 0.3"),
            Wasi::P2 => ProxyPre::new(linked).map(Self::Wasi02).map_err(sentence),
        }
    }

    /// The engine that it was compiled by.
    pub fn engine(&self) -> &Engine {
        match self {
            Self::Wasi02(component) => component.engine(),
            #[cfg(feature = "p3")]
            Self::Wasi03(component) => component.engine(),
        }
    }

    /// Whether a guest that still runs mostly has nothing left to do once its body is complete. On 0.2 it has: most
    /// guests return before that.
    pub fn ends_with_body(&self) -> bool {
        !matches!(self, Self::Wasi02(_))
    }

    /// Creates an instance in `store`.
    pub async fn instantiate(&self, store: &mut Store<ComponentState>) -> wasmtime::Result<Exports> {
        match self {
            Self::Wasi02(component) => component.instantiate_async(store).await.map(Exports::Wasi02),
            #[cfg(feature = "p3")]
            Self::Wasi03(component) => component.instantiate_async(store).await.map(Exports::Wasi03),
        }
    }
}

impl Exports {
    /// Calls the handler of the instance in `store` with `request`, and runs it until it has nothing left to do. Its
    /// response is sent to `response`.
    ///
    /// # Errors
    /// When it traps, or has no response.
    pub async fn call(
        &self,
        store: &mut Store<ComponentState>,
        request: Request<RequestBody>,
        secure: bool,
        response: oneshot::Sender<GuestResponse>,
    ) -> Result<(), Failure> {
        let request = request.map(received);
        match self {
            Self::Wasi02(proxy) => call_02(proxy, store, request, secure, response).await.map_err(trapped),
            // Boxed: this future is large, and would make every other as large.
            #[cfg(feature = "p3")]
            Self::Wasi03(service) => Box::pin(wasi03::call(service, store, request, secure, response)).await,
        }
    }
}

async fn call_02(
    proxy: &Proxy,
    store: &mut Store<ComponentState>,
    request: Request<Received>,
    secure: bool,
    response: oneshot::Sender<GuestResponse>,
) -> wasmtime::Result<()> {
    let mut http = store.data_mut().http();
    let scheme = if secure { Scheme::Https } else { Scheme::Http };
    let request = http.new_incoming_request(scheme, request)?;
    let response = http.new_response_outparam(response)?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, response).await
}

/// The failure of a guest that trapped or called exit.
pub fn trapped(error: wasmtime::Error) -> Failure {
    match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => Failure::Trapped(format!("it called exit({code})")),
        None => Failure::Trapped(story(&error)),
    }
}
