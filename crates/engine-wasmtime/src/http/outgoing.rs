//! Requests that guests make.

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// How a guest's requests go out.
#[derive(Clone, Default)]
pub struct Outgoing;

type Outcome = Result<(http::Response<WasiBody>, Rest), Error>;
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Rest,
    ) -> Box<dyn Future<Output = Outcome> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
