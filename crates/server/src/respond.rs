//! One request: within its bounds to the guest, and its answer or the reason why there is none.

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

use crate::Answer;
use crate::admission::Admission;
use crate::body::RequestBody;
use crate::reply::Reply;
use crate::sent::Sent;

/// What all requests share.
pub struct Responder<A> {
    pub(crate) answer: Arc<A>,
    pub(crate) settings: Http,
    pub(crate) admission: Arc<Admission>,
}

/// The guest's own, to a client of HTTP/1 or 2, or ours.
type AnyBody<B> = Either<Either<B, Sent<B>>, Full<Bytes>>;
type Answered<A> = Response<AnyBody<<A as Answer>::Body>>;

impl<A: Answer> Responder<A> {
    /// Answers `request`; somebody always does.
    pub(crate) async fn respond(&self, mut request: Request<Incoming>) -> Answered<A> {
        if self.settings.health.as_deref() == Some(request.uri().path()) {
            return Reply::Healthy.response().map(Either::Right);
        }
        if let Some(reply) = self.refusal(&request) {
            return reply.response().map(Either::Right);
        }
        if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
            // HTTP/1.0; a guest is always told of one.
            let address = HeaderValue::try_from(self.settings.address.to_string());
            address.into_iter().for_each(|address| drop(request.headers_mut().insert(HOST, address)));
        }
        let asked = (request.method().clone(), request.uri().clone());
        self.ask(request).await.unwrap_or_else(|(reply, reason)| {
            if let Some(reason) = reason {
                log(&format!("{} {}: {}: {reason}", asked.0, asked.1.path(), reply.status().as_u16()));
            }
            reply.response().map(Either::Right)
        })
    }

    /// What is refused before the guest hears of it.
    fn refusal(&self, request: &Request<Incoming>) -> Option<Reply> {
        if !names_one_host(request) || !names_a_path(request) {
            return Some(Reply::Bad);
        }
        // Of one that tells its length; others are cut when they are there.
        (request.body().size_hint().lower() > self.settings.max_body).then_some(Reply::TooLong)
    }

    async fn ask(&self, request: Request<Incoming>) -> Result<Answered<A>, (Reply, Option<String>)> {
        let Http { max_body, header_timeout, .. } = self.settings;
        let shares_connection = request.version() == Version::HTTP_2;
        let body = |body| {
            Either::Left(match shares_connection {
                true => Either::Right(Sent::new(body, header_timeout)),
                false => Either::Left(body),
            })
        };
        let began = Arc::default();
        let answered = timeout(self.settings.timeout, async {
            let permit = self.admission.enter(&began).await.ok_or((Reply::Busy, None))?;
            let request = request.map(|body| RequestBody::new(body, max_body, header_timeout));
            Arc::clone(&self.answer).answer(request, permit).await.map_err(|failure| {
                let (reply, reason) = failure.into_reply();
                (reply, Some(reason))
            })
        });
        match answered.await {
            Ok(answered) => answered.map(|response| response.map(body)),
            Err(_) if began.load(Ordering::Relaxed) => {
                let reason = format!("the guest did not answer within {:?}", self.settings.timeout);
                Err((Reply::Late, Some(reason)))
            }
            Err(_) => Err((Reply::Busy, None)),
        }
    }
}

/// RFC 9112, 3.2: whoever is asked for must be the same for all who read the request.
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

/// Neither a tunnel nor a word without a slash.
fn names_a_path(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    request.method() != Method::CONNECT
        && (path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS))
}

/// One line or more for the container's log.
pub fn log(text: &str) {
    // Nobody is left to tell when this fails.
    let _ = std::io::stderr().write_all(format!("lighter: {}\n", text.trim_end()).as_bytes());
}
