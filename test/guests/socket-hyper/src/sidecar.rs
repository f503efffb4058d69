//! Calls to the Dapr sidecar, and to any URL.

use hyper::{Body, Response};
use reqwest::Client;
use serde_json::{Value, json};

use crate::Failure;

type Answer = Result<Response<Body>, Failure>;

/// Saves `value` under `key`: JSON as it is, anything else as a string.
pub async fn save(key: &str, value: &str) -> Answer {
    let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    let entries = json!([{ "key": key, "value": value }]).to_string();
    post("state/statestore", entries).await
}

/// The value of `key`.
pub async fn state(key: &str) -> Answer {
    fetch(&url(&format!("state/statestore/{key}"))).await
}

/// The secret `key`.
pub async fn secret(key: &str) -> Answer {
    fetch(&url(&format!("secrets/secretstore/{key}"))).await
}

/// Publishes an order.
pub async fn publish(order: String) -> Answer {
    post("publish/pubsub/orders", order).await
}

/// Fetches any URL.
pub async fn fetch(url: &str) -> Answer {
    pass_on(Client::new().get(url).send().await?).await
}

async fn post(path: &str, json: String) -> Answer {
    let request = Client::new().post(url(path)).header("content-type", "application/json");
    pass_on(request.body(json).send().await?).await
}

fn url(path: &str) -> String {
    let port = std::env::var("DAPR_HTTP_PORT").unwrap_or_else(|_| "3500".into());
    format!("http://localhost:{port}/v1.0/{path}")
}

async fn pass_on(answer: reqwest::Response) -> Answer {
    let mut response = Response::builder().status(answer.status());
    if let Some(content_type) = answer.headers().get("content-type") {
        response = response.header("content-type", content_type);
    }
    Ok(response.body(Body::from(answer.bytes().await?))?)
}
