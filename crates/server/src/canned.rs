//! Responses that the server sends without the guest: healthy, busy, failed.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::respond::log;

/// Why a guest sent no response.
#[derive(Debug)]
pub enum Failure {
    /// It trapped: the reason and the Wasm backtrace, for people.
    Trapped(String),
    /// It returned without a response.
    Silent,
    /// It returned an error code of its own.
    Declined(String),
    /// It was not started, for want of memory or of another resource that other instances hold.
    NoRoom(String),
}

impl Failure {
    /// Writes it to the container's log; no client sees it.
    pub fn log(self, when: &str) {
        log(&format!("{when}, {}", self.into_response().1));
    }

    /// The response for the client, and the reason for the log.
    pub(crate) fn into_response(self) -> (CannedResponse, String) {
        match self {
            Self::Trapped(story) => (CannedResponse::Failed, format!("the guest trapped: {story}")),
            Self::Silent => (CannedResponse::Failed, "the guest returned without an answer".into()),
            Self::Declined(code) => {
                (CannedResponse::Failed, format!("the guest answered with the error {code}"))
            }
            Self::NoRoom(reason) => (CannedResponse::Busy, reason),
        }
    }
}

/// A response that needs no guest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CannedResponse {
    /// The server is running.
    Healthy,
    /// The request is not valid.
    Bad,
    /// Its body is too long.
    TooLong,
    /// The guest failed.
    Failed,
    /// Too many requests at once.
    Busy,
    /// The guest took too long.
    Late,
}

impl CannedResponse {
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
            Self::Failed => "the application failed; see its log\n",
            Self::Busy => "the application is busy\n",
            Self::Late => "the application took too long\n",
        }
    }

    pub(crate) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(self.text().as_bytes())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        match self {
            Self::Busy => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
            // What follows on this connection is the rest of a body that is never read.
            Self::TooLong => drop(headers.insert(CONNECTION, HeaderValue::from_static("close"))),
            _ => {}
        }
        response
    }
}
