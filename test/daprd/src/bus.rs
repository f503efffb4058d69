//! The message bus: wraps a published message into a CloudEvent and posts it to the app.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::{App, Subscription};
use crate::http::FullRequest;

/// How many times a message is posted to an app that does not accept it.
const OFFERS: u32 = 20;
/// How long to wait between two attempts.
const PAUSE: Duration = Duration::from_millis(250);
const EVENT: &str = "application/cloudevents+json";

/// The bus of one sidecar.
pub struct Bus {
    /// The app id, as the events' source.
    source: String,
    published: AtomicU64,
    /// The app's subscriptions, once it has returned them.
    subscriptions: watch::Sender<Option<Vec<Subscription>>>,
}

impl Bus {
    /// A bus without subscribers.
    pub fn new(source: &str) -> Self {
        Self { source: source.into(), published: AtomicU64::new(0), subscriptions: watch::Sender::new(None) }
    }

    /// Sets the app's subscriptions.
    pub fn subscribe(&self, subscriptions: Vec<Subscription>) {
        self.subscriptions.send_replace(Some(subscriptions));
    }

    /// The app's subscriptions.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.subscriptions.borrow().clone().unwrap_or_default()
    }

    /// The event that `request` publishes.
    ///
    /// # Errors
    /// When its body does not match its content type.
    pub fn event(&self, pubsub: &str, topic: &str, request: &FullRequest) -> Result<Value> {
        let content_type =
            request.headers().get(CONTENT_TYPE).map_or(Ok("text/plain"), |kind| kind.to_str())?;
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let body = request.body();
        let mut event: Map<String, Value> = if kind == EVENT {
            serde_json::from_slice(body).context("the body is no CloudEvent")?
        } else {
            let number = self.published.fetch_add(1, Ordering::Relaxed);
            let event = json!({
                "specversion": "1.0",
                "id": format!("{}-{number}", self.source),
                "source": self.source,
                "type": "com.dapr.event.sent",
                "datacontenttype": content_type,
                "data": data(kind, body)?,
            });
            serde_json::from_value(event)?
        };
        event.insert("topic".into(), topic.into());
        event.insert("pubsubname".into(), pubsub.into());
        Ok(event.into())
    }

    /// Delivers `event` to the app, once its subscriptions are known, if it subscribes to the topic.
    ///
    /// # Errors
    /// When the app does not accept it.
    pub async fn deliver(&self, app: App, event: Value) -> Result<()> {
        let mut known = self.subscriptions.subscribe();
        let subscriptions = known.wait_for(Option::is_some).await?.clone().unwrap_or_default();
        let is_meant =
            |one: &&Subscription| one.pubsubname == event["pubsubname"] && one.topic == event["topic"];
        let Some(subscription) = subscriptions.iter().find(is_meant) else { return Ok(()) };
        let body = Bytes::from(event.to_string());
        let mut last = String::new();
        for _ in 0..OFFERS {
            last = match app.post(subscription.route(), EVENT, body.clone()).await {
                // An app without such a route drops the message.
                Ok(answer) if answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND => {
                    return Ok(());
                }
                Ok(answer) => format!("{} answers {}", subscription.route(), answer.status()),
                Err(error) => format!("{error:#}"),
            };
            sleep(PAUSE).await;
        }
        bail!("offered {OFFERS} times in vain: {last}")
    }
}

/// JSON as it is, everything else as a string.
fn data(kind: &str, body: &[u8]) -> Result<Value> {
    if kind == "application/json" || kind.ends_with("+json") {
        return serde_json::from_slice(body).context("the body is no JSON");
    }
    Ok(std::str::from_utf8(body).context("the body is no text")?.into())
}
