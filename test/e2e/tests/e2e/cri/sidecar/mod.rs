//! A Wasm app and its Dapr sidecar in one pod: `test/examples/sidecar-dapr.yaml`.

mod blocks;
mod life;
mod node;
mod policy;
mod sdks;

use anyhow::{Context as _, Result, ensure};
use e2e::cri::{self, Cri};
use e2e::kubelet::Kubelet;
use e2e::kubelet::manifest::Manifest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use hyper::{Request, Response};
use serde_json::Value;

/// The ports of the app, of the sidecar's full API, which only the pod sees, and of its public API.
const APP: u16 = 9005;
const API: u16 = 3500;
const PUBLIC: u16 = 3501;

pub fn scenarios() -> Vec<Scenario> {
    [blocks::scenarios(), node::scenarios(), life::scenarios(), sdks::scenarios(), policy::scenarios()]
        .into_iter()
        .flatten()
        .collect()
}

/// Runs `check` once both containers of the pod are ready.
fn scenario(name: &str, check: fn(&mut Kubelet<'_>) -> Result<()>) -> Scenario {
    cri::ours(format!("cri-sidecar-{name}"), move |cri| {
        pod(cri, unchanged, |kubelet| {
            kubelet.start_all()?;
            both_ready(kubelet)?;
            check(kubelet)
        })
    })
}

/// Creates the pod, modified by `change`; `check` starts its containers.
fn pod(
    cri: &Cri<'_>,
    change: fn(&mut Manifest),
    check: impl FnOnce(&mut Kubelet<'_>) -> Result<()>,
) -> Result<()> {
    let mut manifest = Manifest::read("sidecar-dapr.yaml")?;
    change(&mut manifest);
    let sandbox = manifest.sandbox(cri)?;
    let mut kubelet = Kubelet::new(&sandbox, &manifest)?;
    let checked = check(&mut kubelet);
    let log = |name| kubelet.said(name);
    checked.with_context(|| format!("the app logged {:?}, the sidecar {:?}", log("app"), log("daprd")))
}

fn unchanged(_: &mut Manifest) {}

fn both_ready(kubelet: &Kubelet<'_>) -> Result<()> {
    kubelet.is_ready("app")?;
    kubelet.is_ready("daprd")
}

/// GET from the app, from the node; the body, if the status is `status`.
fn get(kubelet: &Kubelet<'_>, path: &str, status: u16) -> Result<String> {
    answered(kubelet.ask_from_node(APP, Request::get(path).body(String::new())?)?, status)
}

/// The same with POST.
fn post(kubelet: &Kubelet<'_>, path: &str, body: &str, status: u16) -> Result<String> {
    answered(kubelet.ask_from_node(APP, Request::post(path).body(body.into())?)?, status)
}

/// POST to the sidecar's API, from within the pod.
fn api(kubelet: &Kubelet<'_>, path: &str, body: &str, status: u16) -> Result<String> {
    let request = Request::post(path).header("content-type", "application/json").body(body.into())?;
    answered(kubelet.ask_within(API, request)?, status)
}

fn answered(answer: Response<String>, status: u16) -> Result<String> {
    ensure!(answer.status() == status, "{} instead of {status}: {:?}", answer.status(), answer.body());
    Ok(answer.into_body())
}

/// The sidecar's routes that were called by clients whose User-Agent contains `agent`.
fn routes(kubelet: &Kubelet<'_>, agent: &str) -> Result<Vec<String>> {
    let calls = kubelet.ask_within(API, Request::get("/test/routes").body(String::new())?)?;
    let calls: Vec<Value> = serde_json::from_str(calls.body())?;
    let by = |one: &&Value| one["agent"].as_str().is_some_and(|by| by.contains(agent));
    Ok(calls.iter().filter(by).filter_map(|one| one["route"].as_str().map(Into::into)).collect())
}

/// Waits until the app has received an order that contains `text`; returns all its orders.
fn ordered(kubelet: &Kubelet<'_>, text: &str) -> Result<String> {
    let has = || Ok(Some(get(kubelet, "/orders", 200)?).filter(|orders| orders.contains(text)));
    poll(&format!("an order with {text:?}"), LIMIT, has)
}
