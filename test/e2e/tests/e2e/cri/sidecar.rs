//! A Wasm app and its Dapr sidecar in one pod, as `test/examples/sidecar-dapr.yaml` has it.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use e2e::cri::{self, Cri};
use e2e::kubelet::Kubelet;
use e2e::kubelet::manifest::Manifest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use hyper::Request;
use serde_json::{Value, json};

/// Where the app listens, and the sidecar's whole API, which only the pod sees.
const APP: u16 = 9005;
const API: u16 = 3500;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("state", state), scenario("invoke", invoke)]
}

/// A check of the whole pod once both of its containers are ready.
fn scenario(name: &str, check: fn(&mut Kubelet<'_>) -> Result<()>) -> Scenario {
    cri::ours(format!("cri-sidecar-{name}"), move |cri| {
        pod(cri, |kubelet| {
            kubelet.start_all()?;
            both_ready(kubelet)?;
            check(kubelet)
        })
    })
}

/// The pod without containers, for `check` to start them.
fn pod(cri: &Cri<'_>, check: impl FnOnce(&mut Kubelet<'_>) -> Result<()>) -> Result<()> {
    let manifest = Manifest::read("sidecar-dapr.yaml")?;
    let sandbox = manifest.sandbox(cri)?;
    let mut kubelet = Kubelet::new(&sandbox, &manifest)?;
    let checked = check(&mut kubelet);
    checked.with_context(|| {
        format!("the app logged {:?}, the sidecar {:?}", kubelet.said("app"), kubelet.said("daprd"))
    })
}

fn both_ready(kubelet: &Kubelet<'_>) -> Result<()> {
    kubelet.is_ready("app")?;
    kubelet.is_ready("daprd")
}

/// GET of the app, from the node; its body, when the status is `status`.
fn get(kubelet: &Kubelet<'_>, path: &str, status: u16) -> Result<String> {
    answered(kubelet.ask_from_node(APP, Request::get(path).body(String::new())?)?, status)
}

/// The same with POST.
fn post(kubelet: &Kubelet<'_>, path: &str, body: &str, status: u16) -> Result<String> {
    answered(kubelet.ask_from_node(APP, Request::post(path).body(body.into())?)?, status)
}

fn answered(answer: hyper::Response<String>, status: u16) -> Result<String> {
    ensure!(answer.status() == status, "{} instead of {status}: {:?}", answer.status(), answer.body());
    Ok(answer.into_body())
}

/// Saved and read through the app, which calls its sidecar at localhost.
fn state(kubelet: &mut Kubelet<'_>) -> Result<()> {
    get(kubelet, "/state/none", 204)?;
    post(kubelet, "/state/cart", r#"{"apples":3}"#, 204)?;
    let read: Value = serde_json::from_str(&get(kubelet, "/state/cart", 200)?)?;
    ensure!(read == json!({ "apples": 3 }), "it read {read}");
    let routes = kubelet.ask_within(API, Request::get("/test/routes").body(String::new())?)?.into_body();
    for route in ["POST /v1.0/state/statestore", "GET /v1.0/state/statestore/cart", "GET /v1.0/healthz"] {
        ensure!(routes.contains(&format!("{route:?}")), "no {route} in {routes}");
    }
    Ok(())
}

/// From the sidecar to the app, with method, body and query.
fn invoke(kubelet: &mut Kubelet<'_>) -> Result<()> {
    let ask = |request: Request<String>| answered(kubelet.ask_within(API, request)?, 200);
    let echo = ask(Request::post("/v1.0/invoke/orders/method/echo").body("ping".into())?)?;
    ensure!(echo == "ping", "the app answered {echo:?}");
    let hello = ask(Request::get("/v1.0/invoke/orders/method/").body(String::new())?)?;
    ensure!(hello == "hello\n", "the app answered {hello:?}");
    Ok(())
}
