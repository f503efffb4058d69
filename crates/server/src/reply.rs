//! What the server says for the guest: that it is well, that it is busy, that it failed.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::respond::log;

/// Why a guest gave no answer.
#[derive(Debug)]
pub enum Failure {
    /// It trapped: the reason and the Wasm backtrace, for people.
    Trapped(String),
    /// It returned without an answer.
    Silent,
    /// It said that it cannot, in its own code.
    Declined(String),
    /// It could not be begun for want of memory or of another thing that others hold.
    NoRoom(String),
}

impl Failure {
    /// Tells the container's log, and no client, of it.
    pub fn log(self, when: &str) {
        log(&format!("{when}, {}", self.into_reply().1));
    }

    /// What the client is told, and what the operator.
    pub(crate) fn into_reply(self) -> (Reply, String) {
        match self {
            Self::Trapped(story) => (Reply::Failed, format!("the guest trapped: {story}")),
            Self::Silent => (Reply::Failed, "the guest returned without an answer".into()),
            Self::Declined(code) => (Reply::Failed, format!("the guest answered with the error {code}")),
            Self::NoRoom(reason) => (Reply::Busy, reason),
        }
    }
}

/// An answer that needs no guest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// The server is there.
    Healthy,
    /// The request is not HTTP as it should be.
    Bad,
    /// Its body is too long.
    TooLong,
    /// The guest failed.
    Failed,
    /// Too many are asking.
    Busy,
    /// The guest took too long.
    Late,
}

impl Reply {
    /// Its status.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Healthy => StatusCode::OK,
            Self::Bad => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Healthy => "ok\n",
            Self::Bad => "a request names one host and a path\n",
            Self::TooLong => "the request's body is too long\n",
            Self::Failed => "the application failed; its log tells why\n",
            Self::Busy => "the application is busy\n",
            Self::Late => "the application took too long\n",
        }
    }

    /// The whole answer.
    pub(crate) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(self.text().as_bytes())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        match self {
            Self::Busy => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
            // What else comes on this connection is the rest of a body that nobody reads.
            Self::TooLong => drop(headers.insert(CONNECTION, HeaderValue::from_static("close"))),
            _ => {}
        }
        response
    }
}
