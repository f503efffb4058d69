//! Dapr's own, unmodified SDKs against the sidecar's API.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use e2e::kubelet::Kubelet;
use e2e::process::run;
use e2e::runner::Scenario;
use e2e::versions;

use super::{ordered, routes, scenario};

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("sdk-python", sdk_python), scenario("sdk-javascript", sdk_javascript)]
}

/// Runs a program of an SDK in the pod's network.
fn sdk(kubelet: &Kubelet<'_>, program: &Path, change: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = kubelet.net()?.command(program);
    // Python must write no files of root's into the directory, which may belong to another user.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("http_proxy").env_remove("HTTP_PROXY");
    change(&mut command);
    let output = run(&mut command)?.ok()?;
    ensure!(output.stdout.trim_end().ends_with(" ok"), "the SDK's program failed: {output:?}");
    Ok(())
}

/// Its health check and its invocations; the rest of the SDK uses gRPC.
fn sdk_python(kubelet: &mut Kubelet<'_>) -> Result<()> {
    let sdks = versions::dapr_sdks()?;
    sdk(kubelet, &sdks.join("python/bin/python"), |command| {
        command.arg(programs().join("invoke.py")).arg("orders");
    })?;
    asked_for(
        &routes(kubelet, "dapr-sdk-python")?,
        &[
            "GET /v1.0/healthz/outbound",
            "POST /v1.0/invoke/orders/method/echo",
            "POST /v1.0/invoke/orders/method/state/python",
            "GET /v1.0/invoke/orders/method/state/python",
        ],
    )
}

/// State, secrets, publishing, invocation, metadata; the app receives what it publishes.
fn sdk_javascript(kubelet: &mut Kubelet<'_>) -> Result<()> {
    let sdks = versions::dapr_sdks()?;
    sdk(kubelet, Path::new("node"), |command| {
        command.arg(programs().join("all.mjs")).arg(&sdks).arg("orders");
    })?;
    ordered(kubelet, r#"{"from":"JavaScript"}"#)?;
    asked_for(
        &routes(kubelet, "dapr-sdk-js")?,
        &[
            "GET /v1.0/metadata",
            "POST /v1.0/state/statestore",
            "GET /v1.0/state/statestore/one",
            "GET /v1.0/state/statestore/none",
            "POST /v1.0/state/statestore/bulk",
            "DELETE /v1.0/state/statestore/one",
            "POST /v1.0/state/statestore/transaction",
            "GET /v1.0/state/statestore/three",
            "GET /v1.0/state/statestore/two",
            "GET /v1.0/secrets/secretstore/database",
            "GET /v1.0/secrets/secretstore/bulk",
            "POST /v1.0/invoke/orders/method/echo",
            "POST /v1.0/publish/pubsub/orders",
            "PUT /v1.0/metadata/written-by",
        ],
    )
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../daprd/sdk")
}

fn asked_for(asked: &[String], expected: &[&str]) -> Result<()> {
    ensure!(asked == expected, "the SDK asked for {asked:?}, not {expected:?}");
    Ok(())
}
