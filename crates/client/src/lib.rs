//! The HTTP client of a guest: HTTP/1.1 and HTTP/2, plain or over TLS, with pooled connections and egress rules.
//!
//! Owns the connection pool, the TLS roots and the deadlines of a request. `network` resolves and checks addresses
//! before each connection. Knows no engine and no ABI; runs in the guest's process, and opens no file except the
//! certificates that the guest names.

#![forbid(unsafe_code)]

mod body;
mod connecting;
mod connector;
mod error;
mod trust;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use network::Egress;

pub use body::ResponseBody;
pub use error::Error;

use connecting::{Connecting, InTime};
use connector::Connector;

/// Any error of a request's body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The client that all instances of a guest share. `B` is the body of their requests.
pub struct Client<B>(Arc<ClientInner<B>>);

struct ClientInner<B> {
    egress: Arc<Egress>,
    /// The file of certificate authorities, if the guest names one.
    authorities: Option<PathBuf>,
    /// Created by the first request.
    pool: OnceLock<Result<Connections<B>, String>>,
}

type Connections<B> = Pool<InTime<HttpsConnector<Connector>>, B>;

/// The deadlines of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For connecting, TLS included.
    pub connect: Duration,
    /// For the head of the response, once there is a connection.
    pub first_byte: Duration,
    /// Between two parts of the response's body.
    pub between_bytes: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        const PATIENT: Duration = Duration::from_secs(600);
        Self { connect: Duration::from_secs(30), first_byte: PATIENT, between_bytes: PATIENT }
    }
}

impl<B> Clone for Client<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Client<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    /// Reaches what `egress` allows; honours `SSL_CERT_FILE` of `env` and no other variable.
    pub fn new(egress: Arc<Egress>, env: &[(String, String)]) -> Self {
        let named = env.iter().rev().find(|(name, _)| name == "SSL_CERT_FILE");
        let authorities = named.map(|(_, path)| path.into());
        Self(Arc::new(ClientInner { egress, authorities, pool: OnceLock::new() }))
    }

    /// What the guest may reach.
    pub fn egress(&self) -> &Arc<Egress> {
        &self.0.egress
    }

    /// Sends a request, whose URI is absolute. Needs a Tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn send(
        &self,
        request: Request<B>,
        deadlines: Deadlines,
    ) -> Result<Response<ResponseBody>, Error> {
        let response = self.pool()?.request(request);
        let response = Connecting::new(deadlines.connect).response(deadlines.first_byte, response).await;
        let response = response.map_err(|_| Error::ResponseTimeout)?.map_err(|error| Error::of(&error))?;
        Ok(response.map(|body| ResponseBody::new(body, deadlines.between_bytes)))
    }

    fn pool(&self) -> Result<&Connections<B>, Error> {
        let pool = self.0.pool.get_or_init(|| {
            let trusted =
                trust::client(self.0.authorities.as_deref()).map_err(|error| format!("{error:#}"))?;
            let connector = HttpsConnectorBuilder::new()
                .with_tls_config(trusted)
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(Connector::new(Arc::clone(&self.0.egress)));
            let mut builder = Pool::builder(TokioExecutor::new());
            Ok(builder.pool_timer(TokioTimer::new()).timer(TokioTimer::new()).build(InTime(connector)))
        });
        pool.as_ref().map_err(|sentence| Error::NoTrust(sentence.clone()))
    }
}
