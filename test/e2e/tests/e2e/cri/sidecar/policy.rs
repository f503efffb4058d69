//! An app that may connect only to its sidecar.

use anyhow::{Result, ensure};
use e2e::cri;
use e2e::kubelet::Kubelet;
use e2e::kubelet::manifest::Manifest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;

use super::{API, PUBLIC, api, both_ready, get, pod, post};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        cri::ours("cri-sidecar-alone-by-name", |cri| pod(cri, only_sidecar_by_name, alone)),
        cri::ours("cri-sidecar-alone-by-address", |cri| pod(cri, only_sidecar_by_address, alone)),
    ]
}

fn only_sidecar_by_name(manifest: &mut Manifest) {
    let annotations = &mut manifest.metadata.annotations;
    annotations.insert("lighter.wasm/allowed-outbound".into(), format!("localhost:{API}"));
}

/// The app still uses its sidecar's name.
fn only_sidecar_by_address(manifest: &mut Manifest) {
    let annotations = &mut manifest.metadata.annotations;
    annotations.insert("lighter.wasm/allowed-outbound".into(), format!("127.0.0.1:{API}"));
    annotations.insert("lighter.wasm/allowed-lookup".into(), "localhost".into());
}

/// The guest may connect only to the sidecar's API; the native sidecar is not restricted.
fn alone(kubelet: &mut Kubelet<'_>) -> Result<()> {
    kubelet.start_all()?;
    both_ready(kubelet)?;
    post(kubelet, "/state/one", "1", 204)?;
    let public = format!("/fetch?http://127.0.0.1:{PUBLIC}/v1.0/metadata");
    let refused = get(kubelet, &public, 502)?;
    ensure!(refused.starts_with("error: "), "the app answers {refused:?}");
    let logged = |line: &String| line.contains("allowed-outbound");
    poll("the refusal in the log", LIMIT, || Ok(kubelet.said("app").iter().any(logged).then_some(())))?;
    // The rules do not apply to the sidecar's connections to the app.
    ensure!(api(kubelet, "/v1.0/invoke/orders/method/echo", "ping", 200)? == "ping");
    Ok(())
}
