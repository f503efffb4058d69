//! Start order, restarts of one container while the other runs, and the end of both.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::cri;
use e2e::kubelet::Kubelet;
use e2e::kubelet::manifest::Manifest;
use e2e::process::{LIMIT, SLOW, poll};
use e2e::runner::Scenario;
use hyper::Request;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PUBLIC, api, both_ready, get, ordered, pod, post, scenario, unchanged};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        cri::ours("cri-sidecar-app-first", |cri| pod(cri, unchanged, app_first)),
        cri::ours("cri-sidecar-daprd-first", |cri| pod(cri, unchanged, daprd_first)),
        scenario("app-restarted", app_restarted),
        scenario("daprd-restarted", daprd_restarted),
        scenario("stop", stop),
        cri::ours("cri-sidecar-native", |cri| pod(cri, native_sidecar, native)),
        scenario("shutdown", shutdown),
    ]
}

/// The app serves before the sidecar is started, and reaches it afterwards.
fn app_first(kubelet: &mut Kubelet<'_>) -> Result<()> {
    kubelet.start("app")?;
    kubelet.is_ready("app")?;
    get(kubelet, "/state/early", 502)?;
    kubelet.start("daprd")?;
    both_ready(kubelet)?;
    post(kubelet, "/state/early", "1", 204).map(drop)
}

/// The sidecar can be called before the app is started, but is ready only when the app is.
fn daprd_first(kubelet: &mut Kubelet<'_>) -> Result<()> {
    kubelet.start("daprd")?;
    let outbound = || {
        let asked =
            kubelet.ask_from_node(PUBLIC, Request::get("/v1.0/healthz/outbound").body(String::new())?);
        Ok(asked.ok().filter(|answer| answer.status() == 204).map(drop))
    };
    poll("the sidecar to be ready for calls", LIMIT, outbound)?;
    ensure!(kubelet.probe_readiness("daprd").is_err(), "it is ready without its app");
    kubelet.start("app")?;
    both_ready(kubelet)?;
    post(kubelet, "/publish", r#""first""#, 204)?;
    ordered(kubelet, "first").map(drop)
}

/// Kills the container called `name`, as the kernel's OOM killer would; the other one lives on.
fn killed(kubelet: &Kubelet<'_>, name: &str, other: &str) -> Result<()> {
    let stays = kubelet.of(other)?.pid()?;
    kill(Pid::from_raw(kubelet.of(name)?.pid()?), Signal::SIGKILL)?;
    let ended = kubelet.of(name)?.ended()?;
    ensure!(ended.exit_code == 137, "{ended:?}");
    ensure!(!kubelet.is_alive(name)?, "{name} answers its probe after its end");
    ensure!(kubelet.of(other)?.pid()? == stays, "{other} was restarted");
    Ok(())
}

/// The sidecar lives on, keeps its state, and reaches the new app at the same port.
fn app_restarted(kubelet: &mut Kubelet<'_>) -> Result<()> {
    post(kubelet, "/state/kept", "1", 204)?;
    killed(kubelet, "app", "daprd")?;
    ensure!(kubelet.is_alive("daprd")?, "the sidecar does not live without its app");
    api(kubelet, "/v1.0/invoke/orders/method/echo", "ping", 500)?;
    // Delivered when the app is back.
    api(kubelet, "/v1.0/publish/pubsub/orders", r#""meanwhile""#, 204)?;
    kubelet.start("app")?;
    both_ready(kubelet)?;
    ensure!(get(kubelet, "/state/kept", 200)? == "1");
    ensure!(api(kubelet, "/v1.0/invoke/orders/method/echo", "ping", 200)? == "ping");
    ordered(kubelet, "meanwhile").map(drop)
}

/// The app lives on, its calls fail meanwhile, and it reaches the new sidecar, which queries its subscriptions.
fn daprd_restarted(kubelet: &mut Kubelet<'_>) -> Result<()> {
    post(kubelet, "/state/lost", "1", 204)?;
    killed(kubelet, "daprd", "app")?;
    ensure!(kubelet.is_alive("app")?, "the app does not live without its sidecar");
    let error = get(kubelet, "/state/lost", 502)?;
    ensure!(error.starts_with("error: "), "the app answers {error:?}");
    kubelet.start("daprd")?;
    both_ready(kubelet)?;
    // The stand-in keeps its state in memory.
    get(kubelet, "/state/lost", 204)?;
    post(kubelet, "/publish", r#""again""#, 204)?;
    ordered(kubelet, "again").map(drop)
}

/// Both get SIGTERM at once; each exits by itself, long before the grace period is over.
fn stop(kubelet: &mut Kubelet<'_>) -> Result<()> {
    let start = Instant::now();
    kubelet.stop()?;
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(8) * *SLOW, "it took {took:?}");
    let (app, daprd) = (kubelet.of("app")?.status()?, kubelet.of("daprd")?.status()?);
    ensure!(app.exit_code == 143, "{app:?}");
    ensure!(daprd.exit_code == 0 && daprd.reason == "Completed", "{daprd:?}");
    kubelet.of("daprd")?.says("dapr is shutdown")
}

/// The pod as with the annotation dapr.io/enable-native-sidecar.
fn native_sidecar(manifest: &mut Manifest) {
    let spec = &mut manifest.spec;
    let (mut daprd, others) = spec.containers.drain(..).partition(|one| one.name == "daprd");
    spec.containers = others;
    spec.init_containers.append(&mut daprd);
    spec.init_containers.iter_mut().for_each(|one| one.restart_policy = Some("Always".into()));
}

/// The sidecar is started before the app and stopped after it.
fn native(kubelet: &mut Kubelet<'_>) -> Result<()> {
    kubelet.start_all()?;
    both_ready(kubelet)?;
    post(kubelet, "/state/one", "1", 204)?;
    kubelet.stop()?;
    let (app, daprd) = (kubelet.of("app")?.status()?, kubelet.of("daprd")?.status()?);
    ensure!(daprd.started_at <= app.started_at, "the app was started first: {app:?}, {daprd:?}");
    ensure!(app.finished_at <= daprd.finished_at, "the sidecar ended first: {app:?}, {daprd:?}");
    ensure!(app.exit_code == 143 && daprd.exit_code == 0, "{app:?}, {daprd:?}");
    Ok(())
}

/// The shutdown API, by which an app ends its sidecar.
fn shutdown(kubelet: &mut Kubelet<'_>) -> Result<()> {
    api(kubelet, "/v1.0/shutdown", "", 204)?;
    let ended = kubelet.of("daprd")?.ended()?;
    ensure!(ended.exit_code == 0, "{ended:?}");
    ensure!(kubelet.is_alive("app")?, "the app ended with it");
    Ok(())
}
