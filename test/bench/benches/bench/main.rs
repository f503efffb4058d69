//! Compares shims on private containerds and prints tables. Needs root.
//!
//! ```text
//! make bench
//! ONLY=start,memory …      only the measurements whose names begin with these
//! RUNS=100 …               runs of each shim, default 20
//! PODS=1,10 …              the numbers of idle pods, default 1,10,100,300
//! PEER_SHIM=path …         another Wasm shim to compare with, for instance runwasi's
//! CONTAINERD=2.1 …         another containerd than 1.6
//! LIGHTER_SHIM=path …      another binary of our shim than the one just built
//! ```

mod measurements;
mod servers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use bench::report::{self, Machine, Table};
use bench::{mounts, plot, subject};
use e2e::containerd::Containerd;
use e2e::rootfs::{self, Kind, Node};
use e2e::runner::say;
use e2e::scope::Scope;
use e2e::versions::{self, Install, Shim};
use e2e::{image, interrupt};

/// The common input of all measurements.
pub struct Bench {
    install: Install,
    shim: Shim,
    peer: Option<PathBuf>,
    nodes: Vec<Node>,
    runs: usize,
    pods: Vec<usize>,
}

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

/// Measures, prints and stores; returns whether everything ran.
fn run() -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        bail!("containers need root: run the benchmark as root");
    }
    let bench = Bench::prepare()?;
    interrupt::listen()?;
    Scope::stale()?.iter().try_for_each(Scope::sweep)?;
    mounts::apart()?;
    let only = env::var("ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split(',').any(|begin| name.starts_with(begin));
    let machine = Machine::here(&bench.install.version);
    say(&format!("containerd {}, {} cores, load {}\n", machine.containerd, machine.cores, machine.load));
    let mut tables: Vec<Table> = Vec::new();
    for (name, measure) in measurements::ALL.iter().filter(|(name, _)| wanted(name)) {
        let measured = measure(&bench).with_context(|| format!("cannot measure {name}"))?;
        measured.iter().for_each(|table| say(&report::text(table)));
        tables.extend(measured);
    }
    let rows: Vec<String> = tables.iter().map(|table| report::row(&machine, table)).collect();
    say(&format!("for the history in test/bench/README.md:\n{}", rows.join("\n")));
    let dir = target()?.join("bench");
    report::store(&machine, &tables, &dir.join("latest.json"))?;
    for table in &tables {
        fs::write(dir.join(format!("{}.svg", table.key)), plot::svg(table))?;
    }
    Ok(tables.iter().flat_map(|table| &table.lines).all(|line| line.failure.is_none()))
}

impl Bench {
    fn prepare() -> Result<Self> {
        let number =
            |name: &str, text: &str| text.parse().with_context(|| format!("{name}={text} is no number"));
        let runs = env::var("RUNS").map_or(Ok(20), |runs| number("RUNS", &runs))?;
        let pods = env::var("PODS").unwrap_or_else(|_| "1,10,100,300".into());
        let pods = pods.split(',').map(|pods| number("PODS", pods)).collect::<Result<_>>()?;
        let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let shim = Shim::find()?;
        let mut nodes = rootfs::nodes(&conformance::contract(shim.engine())?, &test.join("guests"))?;
        let file = |path: &str, bytes| Node { path: path.into(), mode: 0o755, kind: Kind::File(bytes) };
        nodes.push(file("sieve", fs::read(env!("CARGO_BIN_EXE_sieve"))?));
        nodes.push(file("sieve.wasm", wat::parse_str(include_str!("../../sieve/sieve.wat"))?));
        nodes.push(file("hyper", fs::read(env!("CARGO_BIN_EXE_hyper"))?));
        for guest in ["http-hello", "socket-hello"] {
            let path = format!("{guest}.wasm");
            let bytes = fs::read(test.join("guests").join(guest).join(&path))?;
            nodes.push(Node { path, mode: 0o755, kind: Kind::File(bytes) });
        }
        let peer = env::var_os("PEER_SHIM").map(PathBuf::from);
        Ok(Self { install: install()?, shim, peer, nodes, runs, pods })
    }

    /// A containerd with the test image, its files unpacked in a directory, and every shim.
    pub fn containerd(&self) -> Result<Containerd> {
        self.provide(Containerd::start(&self.install, &self.shim)?, &self.nodes)
    }

    /// The same with the app `name` of test/examples as `/app.wasm`.
    pub fn containerd_with(&self, name: &str) -> Result<Containerd> {
        let path = target()?.join("examples").join(name).join("app.wasm");
        let app =
            fs::read(&path).with_context(|| format!("{}: run scripts/examples.sh {name}", path.display()))?;
        let app = Node { path: "app.wasm".into(), mode: 0o755, kind: Kind::File(app) };
        let nodes: Vec<_> = self.nodes.iter().cloned().chain([app]).collect();
        self.provide(Containerd::start(&self.install, &self.shim)?, &nodes)
    }

    /// The same with another default runtime, and optionally with the CRI.
    pub fn containerd_of(&self, runtime: &str, cri: bool) -> Result<Containerd> {
        let ours = self.shim.runtime == runtime;
        let binary = if ours { self.shim.binary.clone() } else { None };
        let shim = Shim { runtime: runtime.into(), binary, ..self.shim.clone() };
        let start = if cri { Containerd::start_with_cri } else { Containerd::start };
        self.provide(start(&self.install, &shim)?, &self.nodes)
    }

    fn provide(&self, daemon: Containerd, nodes: &[Node]) -> Result<Containerd> {
        let archive = daemon.scope.dir.join("image.tar");
        image::write(nodes, &[], &archive)?;
        daemon.import(&archive)?;
        rootfs::unpack(nodes, &daemon.rootfs())?;
        subject::install(&daemon, Path::new(env!("CARGO_BIN_EXE_floor")), self.peer.as_ref())?;
        Ok(daemon)
    }
}

/// The containerd to measure on.
fn install() -> Result<Install> {
    let wanted = env::var("CONTAINERD").unwrap_or_else(|_| "1.6".into());
    let (installs, missing) = versions::installed()?;
    let found = installs.into_iter().find(|install| install.version == wanted);
    found.with_context(|| format!("there is no containerd {wanted} to measure on: {}", missing.join("; ")))
}

/// The outermost directory above this program with cargo's `CACHEDIR.TAG`.
fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let marked = program.ancestors().filter(|dir| dir.join("CACHEDIR.TAG").exists()).last();
    Ok(marked.with_context(|| format!("{} is in no target directory", program.display()))?.into())
}
