//! Dapr's building blocks: state, invocation, secrets, pub/sub.

use anyhow::{Result, ensure};
use e2e::kubelet::Kubelet;
use e2e::runner::Scenario;
use hyper::Request;
use serde_json::{Value, json};

use super::{API, answered, api, get, ordered, post, routes, scenario};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("state", state),
        scenario("invoke", invoke),
        scenario("secret", secret),
        scenario("publish", publish),
    ]
}

/// Saved and read through the app, which calls its sidecar at localhost.
fn state(kubelet: &mut Kubelet<'_>) -> Result<()> {
    get(kubelet, "/state/none", 204)?;
    post(kubelet, "/state/cart", r#"{"apples":3}"#, 204)?;
    let read: Value = serde_json::from_str(&get(kubelet, "/state/cart", 200)?)?;
    ensure!(read == json!({ "apples": 3 }), "it read {read}");
    let called = routes(kubelet, "")?;
    for route in ["POST /v1.0/state/statestore", "GET /v1.0/state/statestore/cart"] {
        ensure!(called.iter().any(|one| one == route), "no {route} in {called:?}");
    }
    Ok(())
}

/// From the sidecar to the app, with method, body and query.
fn invoke(kubelet: &mut Kubelet<'_>) -> Result<()> {
    let echo = api(kubelet, "/v1.0/invoke/orders/method/echo", "ping", 200)?;
    ensure!(echo == "ping", "the app answered {echo:?}");
    let request = Request::get("/v1.0/invoke/orders/method/").body(String::new())?;
    let hello = answered(kubelet.ask_within(API, request)?, 200)?;
    ensure!(hello == "hello\n", "the app answered {hello:?}");
    let metadata = format!("/v1.0/invoke/orders/method/fetch?http://localhost:{API}/v1.0/metadata");
    // Through the app and back to the sidecar; the query string carries the URL.
    let round = answered(kubelet.ask_within(API, Request::get(metadata).body(String::new())?)?, 200)?;
    ensure!(serde_json::from_str::<Value>(&round)?["id"] == "orders", "the app fetched {round}");
    api(kubelet, "/v1.0/invoke/orders/method/nowhere", "", 404)?;
    api(kubelet, "/v1.0/invoke/somebody/method/echo", "ping", 500).map(drop)
}

/// From a Secret's volume, which only the sidecar mounts.
fn secret(kubelet: &mut Kubelet<'_>) -> Result<()> {
    let read = get(kubelet, "/secret/database", 200)?;
    ensure!(read.contains("correct horse battery staple"), "the secret is {read:?}");
    get(kubelet, "/secret/none", 500).map(drop)
}

/// From the app to its sidecar, and back to the route of the app's subscription.
fn publish(kubelet: &mut Kubelet<'_>) -> Result<()> {
    post(kubelet, "/publish", r#"{"order":7}"#, 204)?;
    let orders = ordered(kubelet, r#""order":7"#)?;
    let event: Value = serde_json::from_str(orders.trim())?;
    let expected =
        [("specversion", "1.0"), ("topic", "orders"), ("pubsubname", "pubsub"), ("source", "orders")];
    for (key, value) in expected {
        ensure!(event[key] == value, "the event's {key} is {}", event[key]);
    }
    ensure!(event["data"] == json!({ "order": 7 }), "the event is {event}");
    Ok(())
}
