//! Requests that guests make, sent by the [`client`].

mod errors;

use std::sync::Arc;

use client::{Client, Deadlines};
use http::{Request, Response};
use http_body_util::BodyExt;
use network::Egress;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub use errors::link;

/// The HTTP client that all instances of a guest share.
#[derive(Clone)]
pub struct Outgoing(Client<WasiBody>);

type Outcome = Result<(Response<WasiBody>, Rest), Error>;
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl Outgoing {
    /// Reaches what `egress` allows; honours `SSL_CERT_FILE` of `env` and no other variable.
    pub fn new(egress: Arc<Egress>, env: &[(String, String)]) -> Self {
        Self(Client::new(egress, env))
    }

    /// What the guest may reach.
    pub fn egress(&self) -> &Arc<Egress> {
        self.0.egress()
    }
}

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Rest,
    ) -> Box<dyn Future<Output = Outcome> + Send> {
        let client = self.0.clone();
        Box::new(async move {
            let response = client.send(request, deadlines(options)).await.map_err(errors::of_client)?;
            let response = response.map(|body| body.map_err(errors::of_client).boxed_unsync());
            // The pool drives the connection.
            Ok((response, Box::new(async { Ok(()) }) as Rest))
        })
    }
}

/// The deadlines that the guest sets, and the defaults for the others.
fn deadlines(options: Option<RequestOptions>) -> Deadlines {
    let default = Deadlines::default();
    options.map_or(default, |options| Deadlines {
        connect: options.connect_timeout.unwrap_or(default.connect),
        first_byte: options.first_byte_timeout.unwrap_or(default.first_byte),
        between_bytes: options.between_bytes_timeout.unwrap_or(default.between_bytes),
    })
}
