//! Sidecars other than Dapr's: a component of wasi:http beside a native app, and a native proxy to which
//! the pod's traffic is redirected.

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::cri::pod::Pod;
use e2e::cri::{self, Cri};
use e2e::http::client::ask;
use e2e::kubelet::Kubelet;
use e2e::kubelet::manifest::Manifest;
use e2e::output::Output;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use hyper::Request;
use k8s_cri::v1::Int64Value;

/// The header that the proxy adds to a request, as `http-all` prints it.
const MARK: &str = "x-passed-proxy: outbound";
const HTTP_ALL: &str = "localhost/examples/http-all:1";
const BUSYBOX: &str = "localhost/examples/busybox:1";
const FETCH: &str = "localhost/examples/fetch:1";
/// The proxy's user, whose traffic is not redirected, and another one.
const PROXY: i64 = 2102;
const OTHER: i64 = 1000;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        cri::ours("cri-wasm-sidecar", |cri| started(cri, "sidecar-wasm.yaml", |_, kubelet| wasm(kubelet))),
        cri::ours("cri-wasm-sidecar-stop", |cri| {
            started(cri, "sidecar-wasm.yaml", |_, kubelet| ended_last(kubelet, "front"))
        }),
        cri::ours("cri-wasm-sidecar-drained", |cri| {
            started(cri, "sidecar-wasm.yaml", |pod, kubelet| drained(cri, pod, kubelet))
        }),
        cri::ours("cri-proxy-sidecar", |cri| {
            started(cri, "sidecar-proxy.yaml", |pod, kubelet| redirected(cri, pod, kubelet))
        }),
        cri::ours("cri-proxy-sidecar-stop", |cri| {
            started(cri, "sidecar-proxy.yaml", |_, kubelet| ended_last(kubelet, "proxy"))
        }),
    ]
}

/// Starts the pod of an example, and runs `check` once its app is ready.
fn started(
    cri: &Cri<'_>,
    name: &str,
    check: impl Fn(&Pod<'_>, &mut Kubelet<'_>) -> Result<()>,
) -> Result<()> {
    let manifest = Manifest::read(name)?;
    let sandbox = manifest.sandbox(cri)?;
    let mut kubelet = Kubelet::new(&sandbox, &manifest)?;
    let checked = kubelet
        .start_all()
        .and_then(|()| kubelet.is_ready("app"))
        .and_then(|()| check(&sandbox, &mut kubelet));
    let all = manifest.spec.init_containers.iter().chain(&manifest.spec.containers);
    let logged =
        || all.map(|one| format!("{} logged {:?}", one.name, kubelet.said(&one.name))).collect::<Vec<_>>();
    checked.with_context(|| logged().join("; "))
}

/// The native app calls its Wasm sidecar at localhost, and the sidecar the app.
fn wasm(kubelet: &mut Kubelet<'_>) -> Result<()> {
    let app = kubelet.of("app")?;
    let wget = |args: &[&str]| {
        app.exec(&[&["/bin/wget", "-q", "-O", "-"], args].concat(), 20)?
            .ok()
            .map(|output: Output| output.stdout)
    };
    let hello = wget(&["http://127.0.0.1:8080/"])?;
    ensure!(hello.trim() == "hello", "the sidecar answered {hello:?}");
    let echo = wget(&["--post-data", "from the app", "http://127.0.0.1:8080/echo"])?;
    ensure!(echo == "from the app", "the sidecar answered {echo:?}");
    let page = wget(&["http://127.0.0.1:8080/get?http://localhost:9000/index.html"])?;
    ensure!(page == "200\na page of the app\n", "the sidecar fetched {page:?}");
    // From outside, through the sidecar, at the pod's address.
    let request = Request::get("/get?http://127.0.0.1:9000/index.html").body(String::new())?;
    let page = kubelet.ask_from_node(8080, request)?.into_body();
    ensure!(page == "200\na page of the app\n", "the sidecar fetched {page:?}");
    // An app that is not root can write to an emptyDir.
    app.exec(&["/bin/sh", "-c", "echo kept >/scratch/file && /bin/cat /scratch/file"], 20)?
        .ok()?
        .prints("kept")?;
    Ok(())
}

/// A native sidecar container of Kubernetes ends after the app, without being killed.
fn ended_last(kubelet: &mut Kubelet<'_>, sidecar: &str) -> Result<()> {
    kubelet.stop()?;
    let (app, sidecar) = (kubelet.of("app")?.status()?, kubelet.of(sidecar)?.status()?);
    ensure!(app.finished_at <= sidecar.finished_at, "the app ended after its sidecar: {app:?}, {sidecar:?}");
    ensure!(sidecar.exit_code != 137, "the sidecar was killed: {sidecar:?}");
    Ok(())
}

/// The sidecar completes a request that it is handling when the pod is stopped.
fn drained(cri: &Cri<'_>, pod: &Pod<'_>, kubelet: &mut Kubelet<'_>) -> Result<()> {
    let net = cri.daemon.net.as_ref().context("a containerd without a network of its own")?;
    let address = SocketAddr::new(pod.address()?.into(), 8080);
    let request = Request::get("/sleep?2000").body(String::new())?;
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| ask(net, address, request));
        poll("the request", LIMIT, || Ok(pod.is_connected(8080)?.then_some(())))?;
        kubelet.stop()?;
        asked.join().unwrap_or_else(|_| bail!("the client's thread panicked"))
    })?;
    ensure!(answer.body().trim() == "slept", "the sidecar answered {:?}", answer.body());
    Ok(())
}

/// Traffic of the pod to port 8080 goes through the proxy, except the proxy's own.
fn redirected(cri: &Cri<'_>, pod: &Pod<'_>, kubelet: &mut Kubelet<'_>) -> Result<()> {
    let server = cri.pod("server").run()?;
    for port in [8080, 8081] {
        let plan = server.container(&format!("on-{port}")).image(HTTP_ALL);
        plan.with(|config| {
            let key = "PORT".into();
            config.envs.push(k8s_cri::v1::KeyValue { key, value: port.to_string() });
        })
        .start()?;
        poll("the server to listen", LIMIT, || Ok(server.listens(port)?.then_some(())))?;
    }
    let address = server.address()?;
    let through_app = |port: u16| {
        let request = Request::get(format!("/get?http://{address}:{port}/headers")).body(String::new())?;
        anyhow::Ok(kubelet.ask_from_node(9080, request)?.into_body())
    };
    marked("the guest's request", &through_app(8080)?, 1)?;
    marked("the guest's request to another port", &through_app(8081)?, 0)?;
    let url = format!("http://{address}:8080/headers");
    let fetched = pod.container("fetch").image(FETCH).with(|config| config.args = vec![url.clone()]);
    marked("the request of a guest with sockets", &fetched.finish()?.ok()?.stdout, 1)?;
    for (user, marks) in [(OTHER, 1), (PROXY, 0)] {
        let plan = pod.container(&format!("user-{user}")).image(BUSYBOX);
        let plan = plan.args(&["/bin/wget", "-q", "-O", "-", &url]);
        let plan = plan.security(|security| security.run_as_user = Some(Int64Value { value: user }));
        marked(&format!("the request of user {user}"), &plan.finish()?.ok()?.stdout, marks)?;
    }
    kubelet.of("proxy")?.says(&format!("a connection to {address}:8080"))
}

fn marked(what: &str, headers: &str, times: usize) -> Result<()> {
    let found = headers.lines().filter(|line| *line == MARK).count();
    ensure!(headers.contains("method: GET") && found == times, "{what} came as {headers:?}");
    Ok(())
}
