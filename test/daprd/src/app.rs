//! The program beside the sidecar: waits for it, requests its subscriptions, calls it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::http::{FullRequest, FullResponse, send};

/// How long to wait before connecting again, as daprd does.
const KNOCK: Duration = Duration::from_millis(50);

/// The app's address.
#[derive(Clone, Copy, Debug)]
pub struct App(pub SocketAddr);

/// A subscription that the app returns.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Subscription {
    /// The name of the component.
    pub pubsubname: String,
    /// The topic.
    pub topic: String,
    /// The path that messages are posted to.
    #[serde(default)]
    route: Option<String>,
    /// The same in the newer form.
    #[serde(default)]
    routes: Option<Rules>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Rules {
    default: String,
}

impl Subscription {
    /// The path that messages are posted to.
    pub fn route(&self) -> &str {
        let newer = || self.routes.as_ref().map(|routes| routes.default.as_str());
        self.route.as_deref().or_else(newer).unwrap_or(&self.topic)
    }
}

impl App {
    /// Waits, without a limit, until it listens.
    pub async fn listens(self) {
        while TcpStream::connect(self.0).await.is_err() {
            sleep(KNOCK).await;
        }
    }

    /// Requests its configuration, which is ignored, and its subscriptions.
    ///
    /// # Errors
    /// When it does not answer, or not in JSON.
    pub async fn subscriptions(self) -> Result<Vec<Subscription>> {
        self.get("/dapr/config").await?;
        let answer = self.get("/dapr/subscribe").await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(vec![]);
        }
        ensure!(answer.status().is_success(), "/dapr/subscribe answers {}", answer.status());
        serde_json::from_slice(answer.body()).context("/dapr/subscribe")
    }

    /// Forwards `request` to `path`, which may have a query.
    ///
    /// # Errors
    /// When the path is invalid or the app does not answer.
    pub async fn call(self, mut request: FullRequest, path: &str) -> Result<FullResponse> {
        *request.uri_mut() = Uri::try_from(path).with_context(|| path.to_owned())?;
        request.headers_mut().insert(HOST, HeaderValue::try_from(self.0.to_string())?);
        send(self.0, request).await
    }

    /// Posts a message in JSON.
    ///
    /// # Errors
    /// When the app does not answer.
    pub async fn post(self, path: &str, content_type: &'static str, body: Bytes) -> Result<FullResponse> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.call(request, path).await
    }

    async fn get(self, path: &str) -> Result<FullResponse> {
        self.call(Request::new(Bytes::new()), path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_route_are_read() {
        let check = |json: &str, route: &str| {
            let read: Subscription = serde_json::from_str(json).unwrap();
            assert_eq!(read.route(), route);
        };
        check(r#"{"pubsubname":"p","topic":"t","route":"/a"}"#, "/a");
        check(r#"{"pubsubname":"p","topic":"t","routes":{"default":"/b"},"metadata":{}}"#, "/b");
    }
}
