//! Requests that guests make: over connections that are used again, to where the guest may reach.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use network::Egress;
use server::Patience;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::connecting::{Connecting, InTime};
use super::connector::Connector;
use super::{errors, trust};

/// How the requests of a guest, and of all its copies, go out.
#[derive(Clone)]
pub struct Outgoing(Arc<Shared>);

struct Shared {
    egress: Arc<Egress>,
    /// The file of certificates that vouch for servers, where the guest names one.
    authorities: Option<PathBuf>,
    /// Made for the first request.
    client: OnceLock<Result<Connections, String>>,
}

type Connections = Client<InTime<HttpsConnector<Connector>>, WasiBody>;
type Outcome = Result<(Response<WasiBody>, Rest), Error>;
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What the guest did not say of a request.
const USUAL: RequestOptions = RequestOptions {
    connect_timeout: Some(Duration::from_secs(30)),
    first_byte_timeout: Some(Duration::from_secs(600)),
    between_bytes_timeout: Some(Duration::from_secs(600)),
};

impl Outgoing {
    /// To what `egress` allows; of the environment the file of authorities counts.
    pub fn new(egress: Arc<Egress>, env: &[(String, String)]) -> Self {
        let named = env.iter().rev().find(|(name, _)| name == "SSL_CERT_FILE");
        let authorities = named.map(|(_, path)| path.into());
        Self(Arc::new(Shared { egress, authorities, client: OnceLock::new() }))
    }

    /// What the guest may reach.
    pub fn egress(&self) -> &Arc<Egress> {
        &self.0.egress
    }

    fn client(&self) -> Result<&Connections, Error> {
        let client = self.0.client.get_or_init(|| {
            let trusted =
                trust::client(self.0.authorities.as_deref()).map_err(|error| format!("{error:#}"))?;
            let connector = hyper_rustls::HttpsConnectorBuilder::new()
                .with_tls_config(trusted)
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(Connector::new(Arc::clone(&self.0.egress)));
            let mut builder = Client::builder(TokioExecutor::new());
            Ok(builder.pool_timer(TokioTimer::new()).timer(TokioTimer::new()).build(InTime(connector)))
        });
        client.as_ref().map_err(|sentence| Error::InternalError(Some(sentence.clone())))
    }

    async fn send(
        self,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, Error> {
        let or = |said: Option<Duration>, usual: Option<Duration>| said.or(usual).unwrap_or(Duration::MAX);
        let connect = or(options.connect_timeout, USUAL.connect_timeout);
        let first_byte = or(options.first_byte_timeout, USUAL.first_byte_timeout);
        let between = or(options.between_bytes_timeout, USUAL.between_bytes_timeout);
        let answered = self.client()?.request(request);
        let answered = Connecting::new(connect).answered(first_byte, answered).await;
        let response =
            answered.map_err(|_| Error::HttpResponseTimeout)?.map_err(|error| errors::told(&error))?;
        Ok(response.map(|body| Coming { body, patience: Patience::new(between) }.boxed_unsync()))
    }
}

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Rest,
    ) -> Box<dyn Future<Output = Outcome> + Send> {
        let outgoing = self.clone();
        Box::new(async move {
            let response = outgoing.send(request, options.unwrap_or(USUAL)).await?;
            // The pool minds the connection.
            Ok((response, Box::new(async { Ok(()) }) as Rest))
        })
    }
}

/// A response's body, not slower than the guest has patience for.
struct Coming {
    body: Incoming,
    patience: Patience,
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(task);
        match self.patience.poll(task, frame) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(frame)) => Poll::Ready(frame.map(|frame| frame.map_err(errors::of_answer))),
            Poll::Ready(Err(_)) => Poll::Ready(Some(Err(Error::ConnectionReadTimeout))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
