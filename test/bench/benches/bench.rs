//! Compares shims on a private containerd and prints one table. Needs root.
//!
//! ```text
//! make bench
//! RUNS=100 …               runs of each shim, 20 unless said
//! PEER_SHIM=path …         another Wasm shim to compare with, for instance runwasi's
//! CONTAINERD=2.1 …         another containerd than 1.6
//! LIGHTER_SHIM=path …      another binary of ours than the one just built
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, thread};

use anyhow::{Context as _, Result, bail};
use bench::clock;
use bench::report::{self, Line, Place};
use bench::subject::{self, Subject};
use e2e::containerd::Containerd;
use e2e::runner::say;
use e2e::scope::Scope;
use e2e::versions::{self, Install, Shim};
use e2e::{image, interrupt, rootfs};

/// What a run leaves to daemons after `ctr` came back is not to be billed to the next one.
const REST: Duration = Duration::from_millis(50);
/// Runs of each before any counts: they fill the page cache and containerd's own.
const WARM_UP: usize = 3;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, prints and stores; whether everything ran.
fn run() -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        bail!("containers need root: run the benchmark as root");
    }
    let runs = env::var("RUNS").map_or(Ok(20), |runs| runs.parse()).context("RUNS is no number")?;
    let peer = env::var_os("PEER_SHIM").map(PathBuf::from);
    let install = install()?;
    interrupt::listen()?;
    Scope::stale()?.iter().try_for_each(Scope::sweep)?;
    let daemon = prepare(&install, peer.as_ref())?;

    let place = Place::here(&install.version);
    let lines = measure(&daemon, subject::all(peer.is_some()), runs);
    say(&report::table(&place, &lines));
    say(&format!("for the history in test/bench/README.md:\n{}", report::row(&place, &lines)));
    report::store(&place, &lines, &target()?.join("bench/latest.json"))?;
    Ok(lines.iter().all(|line| line.failure.is_none()))
}

/// The containerd to measure on.
fn install() -> Result<Install> {
    let wanted = env::var("CONTAINERD").unwrap_or_else(|_| "1.6".into());
    let (installs, missing) = versions::installed()?;
    let found = installs.into_iter().find(|install| install.version == wanted);
    found.with_context(|| format!("there is no containerd {wanted} to measure on: {}", missing.join("; ")))
}

/// A containerd with the test image and every shim.
fn prepare(install: &Install, peer: Option<&PathBuf>) -> Result<Containerd> {
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let nodes = rootfs::nodes(&cases::load_all(&test.join("cases"))?, &test.join("guests"))?;
    let daemon = Containerd::start(install, &Shim::find()?)?;
    let archive = daemon.scope.dir.join("image.tar");
    image::write(&nodes, &[], &archive)?;
    daemon.import(&archive)?;
    subject::install(&daemon, Path::new(env!("CARGO_BIN_EXE_floor")), peer)?;
    Ok(daemon)
}

/// Runs the subjects in turn, so that a noisy moment hits all alike. One that fails sits out the rest.
fn measure(daemon: &Containerd, subjects: Vec<Subject>, runs: usize) -> Vec<Line> {
    let fresh = |subject| Line { subject, samples: Vec::new(), failure: None };
    let mut lines: Vec<Line> = subjects.into_iter().map(fresh).collect();
    for round in 0..WARM_UP + runs {
        for (index, line) in lines.iter_mut().enumerate().filter(|(_, line)| line.failure.is_none()) {
            match clock::time(daemon, &line.subject, &format!("b{index}-{round}")) {
                Ok(took) if round >= WARM_UP => line.samples.push(took.as_secs_f64() * 1000.0),
                Ok(_) => {}
                Err(error) => line.failure = Some(format!("{error:#}")),
            }
            thread::sleep(REST);
        }
    }
    lines
}

/// The outermost folder above this program that cargo marks as its own.
fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let marked = program.ancestors().filter(|folder| folder.join("CACHEDIR.TAG").exists()).last();
    Ok(marked.with_context(|| format!("{} is in no target folder", program.display()))?.into())
}
