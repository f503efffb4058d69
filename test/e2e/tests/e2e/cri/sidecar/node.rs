//! The node's view of both containers: probes, privileges, statistics, logs.

use std::path::Path;

use anyhow::{Result, ensure};
use e2e::kernel;
use e2e::kubelet::Kubelet;
use e2e::runner::Scenario;
use hyper::Request;

use super::{API, routes, scenario};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("probes", probes),
        scenario("confined", confined),
        scenario("stats", stats),
        scenario("logs", logs),
    ]
}

/// A kubelet's probes, from the node; of the sidecar's API the node reaches only the public part.
fn probes(kubelet: &mut Kubelet<'_>) -> Result<()> {
    ensure!(kubelet.probe_readiness("app")? == 200);
    ensure!(kubelet.probe_readiness("daprd")? == 204);
    ensure!(kubelet.is_alive("app")? && kubelet.is_alive("daprd")?, "one of them is not alive");
    let asked = routes(kubelet, "kube-probe")?;
    ensure!(asked == ["GET /v1.0/healthz"], "the probes requested {asked:?}");
    let seen = kubelet.ask_from_node(API, Request::get("/v1.0/metadata").body(String::new())?);
    ensure!(seen.is_err(), "the node sees the sidecar's API: {seen:?}");
    Ok(())
}

/// runAsNonRoot, a read-only root, no capabilities, no_new_privs, a seccomp filter.
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
    ensure!(app == ["ready"], "the app logged {app:?}");
    ensure!(daprd.iter().all(|line| line.starts_with("level=info ")), "the sidecar logged {daprd:?}");
    Ok(())
}
