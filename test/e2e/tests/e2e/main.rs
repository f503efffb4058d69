//! End-to-end tests on every installed containerd. Needs root.
//!
//! ```text
//! make test                                               everything, with all other tests
//! cargo test --release --workspace --test e2e -- 1.7 hello '!p2'  one version, names with `hello`, without `p2`
//! … -- cri-                                      in pods, through CRI; the others use ctr
//! … -- docker-                                   through Docker, on the tests' own dockerd
//! LIGHTER_SHIM=path …                            another binary than the one built beside it
//! LIGHTER_E2E_RUNTIME=io.containerd.wasmedge.v1 …  the shim under the name that prefers another engine
//! LIGHTER_E2E_RUNTIME=io.containerd.runc.v2 …    tests the tests: runc must pass
//! LIGHTER_E2E_CGROUPS=systemd …                  systemd creates the cgroups; needs cgroup v2
//! LIGHTER_E2E_SLOW=4 …                           every limit four times as long
//! ```
//!
//! Installed are those in target/containerds/MAJOR.MINOR/bin: downloaded by scripts/containerds.sh, or built by hand
//! (containerd, ctr and containerd-shim-runc-v2).

mod bad;
mod binary;
mod births;
mod cache;
mod commands03;
mod compiling;
mod crash;
mod cri;
mod data;
mod devices;
mod docker;
mod docs;
mod engines;
mod erofs;
mod examples;
mod exec;
mod faults;
mod honoured;
mod http;
mod jail;
mod lifecycle;
mod limits;
mod links;
mod load;
mod native;
mod opa;
mod options;
mod pod;
mod profile;
mod rpc;
mod sealed;
mod soak;
mod sockets;
mod streams;
mod survival;
mod terminal;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use conformance::{Case, User};
use e2e::containerd::Containerd;
use e2e::rootfs::{self, Node};
use e2e::runner::{By, Filter, Scenario, Verdict, say};
use e2e::scope::Scope;
use e2e::versions::{self, Install, Shim};
use e2e::{image, interrupt, unfit};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenarios that the arguments after `--` select; returns whether all passed.
fn run() -> Result<bool> {
    let filter = Filter::parse(env::args().skip(1))?;
    if !nix::unistd::geteuid().is_root() {
        bail!("containers need root: run the end-to-end tests as root");
    }
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shim = Shim::find()?;
    let cases = conformance::contract(shim.engine())?;
    let nodes = rootfs::nodes(&cases, &test.join("guests"))?;
    let users = data::users(&cases);
    let scenarios = scenarios(cases);
    if let Some(part) = unfit::stale(scenarios.iter().map(|scenario| scenario.name.as_str())) {
        bail!("src/unfit.rs has a row for {part:?}, and no scenario is called so");
    }
    let chosen: Vec<&Scenario> = scenarios.iter().filter(|scenario| filter.name(&scenario.name)).collect();
    let (installs, missing) = versions::installed()?;
    interrupt::listen()?;
    Scope::stale()?.iter().try_for_each(Scope::sweep)?;

    let mut verdict = Verdict::default();
    missing.iter().for_each(|why| verdict.skip(&format!("skipped: {why}"), chosen.len()));
    let asked: Vec<&Install> = filter.installs(&installs).collect();
    ensure!(!asked.is_empty(), "of the versions of containerd that were asked for none is here");
    let last = asked.len() - 1;
    for (at, install) in asked.into_iter().enumerate() {
        let newest = at == last;
        verdict.run((install, newest), &shim, &chosen, |install, by| {
            prepare(install, &shim, by, &nodes, &users)
        });
    }
    Ok(verdict.end())
}

/// All scenarios, the quick ones first.
fn scenarios(cases: Vec<Case>) -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = cases.into_iter().map(data::scenario).collect();
    scenarios.extend(binary::scenarios());
    scenarios.extend(native::scenarios());
    scenarios.extend(jail::scenarios());
    scenarios.extend(births::scenarios());
    scenarios.extend(sealed::scenarios());
    scenarios.extend(devices::scenarios());
    scenarios.extend(honoured::scenarios());
    scenarios.extend(lifecycle::scenarios());
    scenarios.extend(exec::scenarios());
    scenarios.extend(terminal::scenarios());
    scenarios.extend(limits::scenarios());
    scenarios.extend(http::scenarios());
    scenarios.extend(opa::scenarios());
    scenarios.extend(engines::scenarios());
    scenarios.extend(options::scenarios());
    scenarios.extend(cache::scenarios());
    scenarios.extend(compiling::scenarios());
    scenarios.extend(erofs::scenarios());
    scenarios.extend(sockets::scenarios());
    scenarios.extend(rpc::scenarios());
    scenarios.extend(streams::scenarios());
    scenarios.extend(bad::scenarios());
    scenarios.extend(pod::scenarios());
    scenarios.extend(profile::scenarios());
    scenarios.extend(crash::scenarios());
    scenarios.extend(commands03::scenarios());
    scenarios.extend(links::scenarios());
    scenarios.extend(load::scenarios());
    scenarios.extend(survival::scenarios());
    scenarios.extend(faults::scenarios());
    scenarios.extend(soak::scenarios());
    scenarios.extend(examples::scenarios());
    scenarios.extend(cri::scenarios());
    scenarios.extend(docker::scenarios());
    scenarios.extend(docs::scenarios());
    scenarios
}

/// Starts a containerd and imports the test image; unpacks the image's files beside it, too.
fn prepare(install: &Install, shim: &Shim, by: By, nodes: &[Node], users: &[User]) -> Result<Containerd> {
    let daemon = match by {
        By::Ctr => Containerd::start(install, shim)?,
        By::Cri => Containerd::start_with_cri(install, shim)?,
        By::Docker => Containerd::start_with_docker(install, shim)?,
    };
    rootfs::unpack(nodes, &daemon.rootfs()).context("unpacking the test image")?;
    let archive = daemon.scope.dir.join("image.tar");
    image::write(nodes, users, &archive)?;
    daemon.import(&archive)?;
    if by == By::Cri {
        let archive = daemon.scope.dir.join("examples.tar");
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
        image::write_examples(&e2e::examples::images(&guests)?, &archive)?;
        daemon.import(&archive)?;
    }
    let client = match by {
        By::Ctr => "",
        By::Cri => ", in pods",
        By::Docker => ", by Docker",
    };
    say(&format!("containerd {} with {}{client}", install.release, shim.runtime));
    Ok(daemon)
}
