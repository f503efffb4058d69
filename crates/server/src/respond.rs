//! One request: checked and limited on its way to the guest, and answered for the guest when that fails.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio::time::timeout;
use workload::Http;

use crate::Handler;
use crate::admission::Admission;
use crate::body::RequestBody;
use crate::canned::CannedResponse;
use crate::http2_body::Http2Body;

/// What all requests share.
pub struct Responder<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) settings: Http,
    pub(crate) admission: Arc<Admission>,
}

/// The guest's body, over HTTP/1 or HTTP/2, or the server's own.
type AnyBody<B> = Either<Either<B, Http2Body<B>>, Full<Bytes>>;
type AnyResponse<H> = Response<AnyBody<<H as Handler>::Body>>;

impl<H: Handler> Responder<H> {
    /// Answers `request`, by the guest or for it.
    pub(crate) async fn respond(&self, mut request: Request<Incoming>) -> AnyResponse<H> {
        if self.settings.health.as_deref() == Some(request.uri().path()) {
            return CannedResponse::Healthy.response().map(Either::Right);
        }
        if let Some(refusal) = self.refusal(&request) {
            return refusal.response().map(Either::Right);
        }
        if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
            // HTTP/1.0 requires no Host; guests expect one.
            let address = HeaderValue::try_from(self.settings.address.to_string());
            address.into_iter().for_each(|address| drop(request.headers_mut().insert(HOST, address)));
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        self.handle(request).await.unwrap_or_else(|(response, reason)| {
            if let Some(reason) = reason {
                log(&format!("{method} {}: {}: {reason}", uri.path(), response.status().as_u16()));
            }
            response.response().map(Either::Right)
        })
    }

    /// The response to a request that is rejected before it reaches the guest.
    fn refusal(&self, request: &Request<Incoming>) -> Option<CannedResponse> {
        if !names_one_host(request) || !names_a_path(request) {
            return Some(CannedResponse::Bad);
        }
        // Only with Content-Length; `RequestBody` cuts off others.
        (request.body().size_hint().lower() > self.settings.max_body).then_some(CannedResponse::TooLong)
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
    ) -> Result<AnyResponse<H>, (CannedResponse, Option<String>)> {
        let Http { max_body, header_timeout, .. } = self.settings;
        let shares_connection = request.version() == Version::HTTP_2;
        let body = |body| {
            Either::Left(match shares_connection {
                true => Either::Right(Http2Body::new(body, header_timeout)),
                false => Either::Left(body),
            })
        };
        let began = Arc::default();
        let handled = timeout(self.settings.timeout, async {
            let permit = self.admission.enter(&began).await.ok_or((CannedResponse::Busy, None))?;
            let request = request.map(|body| RequestBody::new(body, max_body, header_timeout));
            Arc::clone(&self.handler).handle(request, permit).await.map_err(|failure| {
                let (response, reason) = failure.into_response();
                (response, Some(reason))
            })
        });
        match handled.await {
            Ok(handled) => handled.map(|response| response.map(body)),
            Err(_) if began.load(Ordering::Relaxed) => {
                let reason = format!("the guest did not answer within {:?}", self.settings.timeout);
                Err((CannedResponse::Late, Some(reason)))
            }
            Err(_) => Err((CannedResponse::Busy, None)),
        }
    }
}

/// RFC 9112, 3.2: every recipient must take the request for the same host.
fn names_one_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() != Version::HTTP_11 || request.uri().authority().is_some(),
        (Some(host), None) => {
            let authority = host.to_str().unwrap_or("@");
            authority.is_empty() || (!authority.contains('@') && authority.parse::<Authority>().is_ok())
        }
        (Some(_), Some(_)) => false,
    }
}

/// Excludes CONNECT and targets without a leading slash, except `OPTIONS *`.
fn names_a_path(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    request.method() != Method::CONNECT
        && (path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS))
}

/// Writes one or more lines to the container's log.
pub fn log(text: &str) {
    // A failure has nowhere left to be reported.
    let _ = std::io::stderr().write_all(format!("lighter: {}\n", text.trim_end()).as_bytes());
}
