//! A Wasm app and its Dapr sidecar in one pod, as `test/examples/sidecar-dapr.yaml` has it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::cri::{self, Cri};
use e2e::kubelet::Kubelet;
use e2e::kubelet::manifest::Manifest;
use e2e::process::{LIMIT, SLOW, poll, run};
use e2e::runner::Scenario;
use e2e::{kernel, versions};
use hyper::{Request, Response};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Where the app listens; the sidecar's whole API, which only the pod sees; and what the node sees of it.
const APP: u16 = 9005;
const API: u16 = 3500;
const PUBLIC: u16 = 3501;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("state", state),
        scenario("invoke", invoke),
        scenario("secret", secret),
        scenario("publish", publish),
        scenario("probes", probes),
        scenario("confined", confined),
        scenario("stats", stats),
        scenario("logs", logs),
        scenario("app-restarted", app_restarted),
        scenario("daprd-restarted", daprd_restarted),
        scenario("stop", stop),
        scenario("shutdown", shutdown),
        scenario("sdk-python", sdk_python),
        scenario("sdk-javascript", sdk_javascript),
        cri::ours("cri-sidecar-app-first", |cri| pod(cri, unchanged, app_first)),
        cri::ours("cri-sidecar-daprd-first", |cri| pod(cri, unchanged, daprd_first)),
        cri::ours("cri-sidecar-native", |cri| pod(cri, native_sidecar, native)),
        cri::ours("cri-sidecar-alone-by-name", |cri| pod(cri, only_sidecar_by_name, alone)),
        cri::ours("cri-sidecar-alone-by-address", |cri| pod(cri, only_sidecar_by_address, alone)),
    ]
}

/// A check of the whole pod once both of its containers are ready.
fn scenario(name: &str, check: fn(&mut Kubelet<'_>) -> Result<()>) -> Scenario {
    cri::ours(format!("cri-sidecar-{name}"), move |cri| {
        pod(cri, unchanged, |kubelet| {
            kubelet.start_all()?;
            both_ready(kubelet)?;
            check(kubelet)
        })
    })
}

/// The pod, changed by `change`, without containers, for `check` to start them.
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
    let said = |name| kubelet.said(name);
    checked.with_context(|| format!("the app logged {:?}, the sidecar {:?}", said("app"), said("daprd")))
}

fn unchanged(_: &mut Manifest) {}

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

/// POST of the sidecar's API, from within the pod.
fn api(kubelet: &Kubelet<'_>, path: &str, body: &str, status: u16) -> Result<String> {
    let request = Request::post(path).header("content-type", "application/json").body(body.into())?;
    answered(kubelet.ask_within(API, request)?, status)
}

fn answered(answer: Response<String>, status: u16) -> Result<String> {
    ensure!(answer.status() == status, "{} instead of {status}: {:?}", answer.status(), answer.body());
    Ok(answer.into_body())
}

/// The routes of the sidecar that were asked by clients whose name contains `agent`.
fn routes(kubelet: &Kubelet<'_>, agent: &str) -> Result<Vec<String>> {
    let told = kubelet.ask_within(API, Request::get("/test/routes").body(String::new())?)?;
    let told: Vec<Value> = serde_json::from_str(told.body())?;
    let by = |one: &&Value| one["agent"].as_str().is_some_and(|by| by.contains(agent));
    Ok(told.iter().filter(by).filter_map(|one| one["route"].as_str().map(Into::into)).collect())
}

/// Waits until the app has been given an order that contains `text`; all of its orders.
fn ordered(kubelet: &Kubelet<'_>, text: &str) -> Result<String> {
    let has = || Ok(Some(get(kubelet, "/orders", 200)?).filter(|orders| orders.contains(text)));
    poll(&format!("an order with {text:?}"), LIMIT, has)
}

/// Saved and read through the app, which calls its sidecar at localhost.
fn state(kubelet: &mut Kubelet<'_>) -> Result<()> {
    get(kubelet, "/state/none", 204)?;
    post(kubelet, "/state/cart", r#"{"apples":3}"#, 204)?;
    let read: Value = serde_json::from_str(&get(kubelet, "/state/cart", 200)?)?;
    ensure!(read == json!({ "apples": 3 }), "it read {read}");
    let asked = routes(kubelet, "")?;
    for route in ["POST /v1.0/state/statestore", "GET /v1.0/state/statestore/cart"] {
        ensure!(asked.iter().any(|one| one == route), "no {route} in {asked:?}");
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
    // Through the app and back to the sidecar, by a query.
    let round = answered(kubelet.ask_within(API, Request::get(metadata).body(String::new())?)?, 200)?;
    ensure!(serde_json::from_str::<Value>(&round)?["id"] == "orders", "the app fetched {round}");
    api(kubelet, "/v1.0/invoke/orders/method/nowhere", "", 404)?;
    api(kubelet, "/v1.0/invoke/somebody/method/echo", "ping", 500).map(drop)
}

/// Out of a Secret's volume, which only the sidecar has.
fn secret(kubelet: &mut Kubelet<'_>) -> Result<()> {
    let read = get(kubelet, "/secret/database", 200)?;
    ensure!(read.contains("correct horse battery staple"), "the secret is {read:?}");
    get(kubelet, "/secret/none", 500).map(drop)
}

/// From the app to its sidecar, and back to the route that it subscribed with.
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

/// What a kubelet asks, from the node; and that nothing but that of the sidecar is seen from there.
fn probes(kubelet: &mut Kubelet<'_>) -> Result<()> {
    ensure!(kubelet.probe_readiness("app")? == 200);
    ensure!(kubelet.probe_readiness("daprd")? == 204);
    ensure!(kubelet.is_alive("app")? && kubelet.is_alive("daprd")?, "one of them does not live");
    let asked = routes(kubelet, "kube-probe")?;
    ensure!(asked == ["GET /v1.0/healthz"], "the probes asked {asked:?}");
    let seen = kubelet.ask_from_node(API, Request::get("/v1.0/metadata").body(String::new())?);
    ensure!(seen.is_err(), "the node sees the sidecar's API: {seen:?}");
    Ok(())
}

/// runAsNonRoot, a read-only root, no capabilities, no way to more; a seccomp filter on the native one.
fn confined(kubelet: &mut Kubelet<'_>) -> Result<()> {
    for (name, user) in [("app", 1000), ("daprd", 65532)] {
        let pid = kubelet.of(name)?.pid()?;
        let is = |key: &str, expected: &str| {
            let shown = kernel::status(pid, key)?;
            ensure!(shown == expected, "{key} of {name} is {shown:?} instead of {expected:?}");
            anyhow::Ok(())
        };
        is("Uid", &[user.to_string().as_str(); 4].join(" "))?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            is(set, "0000000000000000")?;
        }
        is("NoNewPrivs", "1")?;
        is("Seccomp", "2")?;
        let root = kernel::mount_options(pid, Path::new("/"))?;
        ensure!(root.contains(&"ro".into()), "the root of {name} is mounted {root:?}");
    }
    let secrets = kernel::mount_options(kubelet.of("daprd")?.pid()?, Path::new("/secrets"))?;
    ensure!(secrets.contains(&"ro".into()), "the secrets are mounted {secrets:?}");
    Ok(())
}

fn stats(kubelet: &mut Kubelet<'_>) -> Result<()> {
    for name in ["app", "daprd"] {
        let container = kubelet.of(name)?;
        let stats = container.stats()?;
        let cpu = stats.cpu.and_then(|cpu| cpu.usage_core_nano_seconds).map_or(0, |time| time.value);
        let memory = stats.memory.and_then(|memory| memory.working_set_bytes).map_or(0, |bytes| bytes.value);
        ensure!(cpu > 0 && memory > 0, "{name}: {memory} bytes after {cpu} ns");
        let listed = container.stats_listed()?;
        let ids: Vec<_> = listed.into_iter().filter_map(|one| Some(one.attributes?.id)).collect();
        ensure!(ids.len() == 2 && ids.contains(&container.id), "the pod's statistics are of {ids:?}");
    }
    Ok(())
}

fn logs(kubelet: &mut Kubelet<'_>) -> Result<()> {
    kubelet.of("app")?.says("ready\n")?;
    kubelet.of("daprd")?.says("application discovered on port 9005")?;
    kubelet.of("daprd")?.says("dapr initialized. Status: Running.")?;
    let (app, daprd) = (kubelet.said("app"), kubelet.said("daprd"));
    ensure!(app == ["ready"], "the app said {app:?}");
    ensure!(daprd.iter().all(|line| line.starts_with("level=info ")), "the sidecar said {daprd:?}");
    Ok(())
}

/// Kills the container called `name`, as the kernel does when memory runs out; the other one stays.
fn killed(kubelet: &Kubelet<'_>, name: &str, other: &str) -> Result<()> {
    let stays = kubelet.of(other)?.pid()?;
    kill(Pid::from_raw(kubelet.of(name)?.pid()?), Signal::SIGKILL)?;
    let ended = kubelet.of(name)?.ended()?;
    ensure!(ended.exit_code == 137, "{ended:?}");
    ensure!(!kubelet.is_alive(name)?, "{name} answers its probe after its end");
    ensure!(kubelet.of(other)?.pid()? == stays, "{other} is not what it was");
    Ok(())
}

/// The sidecar goes on, keeps what it has, and finds the new app at the old port.
fn app_restarted(kubelet: &mut Kubelet<'_>) -> Result<()> {
    post(kubelet, "/state/kept", "1", 204)?;
    killed(kubelet, "app", "daprd")?;
    ensure!(kubelet.is_alive("daprd")?, "the sidecar does not live without its app");
    api(kubelet, "/v1.0/invoke/orders/method/echo", "ping", 500)?;
    // Delivered once there is an app again.
    api(kubelet, "/v1.0/publish/pubsub/orders", r#""meanwhile""#, 204)?;
    kubelet.start("app")?;
    both_ready(kubelet)?;
    ensure!(get(kubelet, "/state/kept", 200)? == "1");
    ensure!(api(kubelet, "/v1.0/invoke/orders/method/echo", "ping", 200)? == "ping");
    ordered(kubelet, "meanwhile").map(drop)
}

/// The app goes on, is refused meanwhile, and finds the new sidecar, which asks it what it subscribes to.
fn daprd_restarted(kubelet: &mut Kubelet<'_>) -> Result<()> {
    post(kubelet, "/state/lost", "1", 204)?;
    killed(kubelet, "daprd", "app")?;
    ensure!(kubelet.is_alive("app")?, "the app does not live without its sidecar");
    let refused = get(kubelet, "/state/lost", 502)?;
    ensure!(refused.starts_with("error: "), "the app answers {refused:?}");
    kubelet.start("daprd")?;
    both_ready(kubelet)?;
    // The stand-in keeps its state in memory.
    get(kubelet, "/state/lost", 204)?;
    post(kubelet, "/publish", r#""again""#, 204)?;
    ordered(kubelet, "again").map(drop)
}

/// The app serves before there is a sidecar, and finds it when it comes.
fn app_first(kubelet: &mut Kubelet<'_>) -> Result<()> {
    kubelet.start("app")?;
    kubelet.is_ready("app")?;
    get(kubelet, "/state/early", 502)?;
    kubelet.start("daprd")?;
    both_ready(kubelet)?;
    post(kubelet, "/state/early", "1", 204).map(drop)
}

/// The sidecar can be called before there is an app, but is not ready until it is.
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

/// Both are asked at once; each ends by itself, in its own way, long before the grace period is over.
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

/// What the annotation dapr.io/enable-native-sidecar makes of it.
fn native_sidecar(manifest: &mut Manifest) {
    let spec = &mut manifest.spec;
    let (mut daprd, others) = spec.containers.drain(..).partition(|one| one.name == "daprd");
    spec.containers = others;
    spec.init_containers.append(&mut daprd);
    spec.init_containers.iter_mut().for_each(|one| one.restart_policy = Some("Always".into()));
}

/// Started before the app, which calls it to the last, and ended after it.
fn native(kubelet: &mut Kubelet<'_>) -> Result<()> {
    kubelet.start_all()?;
    both_ready(kubelet)?;
    post(kubelet, "/state/one", "1", 204)?;
    kubelet.stop()?;
    let (app, daprd) = (kubelet.of("app")?.status()?, kubelet.of("daprd")?.status()?);
    ensure!(daprd.started_at <= app.started_at, "the app was first: {app:?}, {daprd:?}");
    ensure!(app.finished_at <= daprd.finished_at, "the sidecar ended first: {app:?}, {daprd:?}");
    ensure!(app.exit_code == 143 && daprd.exit_code == 0, "{app:?}, {daprd:?}");
    Ok(())
}

fn only_sidecar_by_name(manifest: &mut Manifest) {
    let annotations = &mut manifest.metadata.annotations;
    annotations.insert("lighter.wasm/allowed-outbound".into(), format!("localhost:{API}"));
}

/// The app writes its sidecar's name all the same.
fn only_sidecar_by_address(manifest: &mut Manifest) {
    let annotations = &mut manifest.metadata.annotations;
    annotations.insert("lighter.wasm/allowed-outbound".into(), format!("127.0.0.1:{API}"));
    annotations.insert("lighter.wasm/allowed-lookup".into(), "localhost".into());
}

/// The guests of the pod may reach the sidecar, and nothing else; a native program is not asked.
fn alone(kubelet: &mut Kubelet<'_>) -> Result<()> {
    kubelet.start_all()?;
    both_ready(kubelet)?;
    post(kubelet, "/state/one", "1", 204)?;
    let public = format!("/fetch?http://127.0.0.1:{PUBLIC}/v1.0/metadata");
    let refused = get(kubelet, &public, 502)?;
    ensure!(refused.starts_with("error: "), "the app answers {refused:?}");
    let told = |line: &String| line.contains("allowed-outbound");
    poll("the refusal's sentence", LIMIT, || Ok(kubelet.said("app").iter().any(told).then_some(())))?;
    // The sidecar's own way to the app is another program's.
    ensure!(api(kubelet, "/v1.0/invoke/orders/method/echo", "ping", 200)? == "ping");
    Ok(())
}

/// As an app that has done its work ends its sidecar.
fn shutdown(kubelet: &mut Kubelet<'_>) -> Result<()> {
    api(kubelet, "/v1.0/shutdown", "", 204)?;
    let ended = kubelet.of("daprd")?.ended()?;
    ensure!(ended.exit_code == 0, "{ended:?}");
    ensure!(kubelet.is_alive("app")?, "the app went with it");
    Ok(())
}

/// Runs a program of an SDK in the pod's network.
fn sdk(kubelet: &Kubelet<'_>, program: &Path, change: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = kubelet.net()?.command(program);
    // The folder may be another user's than root, who runs this.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("http_proxy").env_remove("HTTP_PROXY");
    change(&mut command);
    let output = run(&mut command)?.ok()?;
    ensure!(output.stdout.trim_end().ends_with(" ok"), "it said {output:?}");
    Ok(())
}

/// Its health wait and its invocations; the rest of it is gRPC.
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

/// State, secrets, publishing, invocation, metadata; what it publishes comes to the app.
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

fn programs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../daprd/sdk")
}

fn asked_for(asked: &[String], expected: &[&str]) -> Result<()> {
    ensure!(asked == expected, "the SDK asked for {asked:?}, not {expected:?}");
    Ok(())
}
