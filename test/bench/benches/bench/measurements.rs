//! The measurements, one function each.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bench::clock;
use bench::memory::{self, Held};
use bench::mounts::{self, Many};
use bench::report::{Line, Table};
use bench::socket::Pod;
use bench::subject::{SIEVES, Subject};
use e2e::containerd::Containerd;
use e2e::cri::Cri;
use e2e::guests::Guest;

use crate::{Bench, servers};

/// A measurement; returns its tables.
type Measurement = fn(&Bench) -> Result<Vec<Table>>;

/// Each with the prefix of its tables' names.
pub const ALL: [(&str, Measurement); 14] = [
    ("start", start),
    ("many-mounts", many_mounts),
    ("quota", quota),
    ("big", big),
    ("socket", socket),
    ("sieve", sieve),
    ("memory", memory),
    ("crowd", crowd),
    ("http", servers::http),
    ("opa", servers::opa),
    ("socket-server", servers::sockets),
    ("idle", servers::idle),
    ("cold", servers::cold),
    ("javascript", servers::javascript),
];

/// A pause, so that what daemons still do after `ctr` returned is not charged to the next run.
const REST: Duration = Duration::from_millis(50);
/// Runs of each that do not count: they fill the page cache and containerd's own.
const WARM_UP: usize = 3;
/// The number of mounts of a large node.
const MANY: usize = 2000;
/// A tenth of a processor.
const TENTH: [&str; 4] = ["--cpu-quota", "10000", "--cpu-period", "100000"];
/// The annotation by which CRI names a container's pod.
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";

/// Runs the subjects in turn, so that a noisy moment affects all alike. One that fails is skipped from then on.
pub fn in_turns<T>(
    subjects: impl IntoIterator<Item = (String, T)>,
    runs: usize,
    warm_up: usize,
    measure: impl Fn(&T, &str) -> Result<f64>,
) -> Vec<Line> {
    let mut all: Vec<_> = subjects.into_iter().map(|(name, subject)| (Line::new(name), subject)).collect();
    for round in 0..warm_up + runs {
        for (index, (line, subject)) in
            all.iter_mut().enumerate().filter(|(_, (line, _))| line.failure.is_none())
        {
            let run = measure(subject, &format!("b{index}-{round}"));
            if round >= warm_up || run.is_err() {
                line.note(run);
            }
            thread::sleep(REST);
        }
    }
    all.into_iter().map(|(line, _)| line).collect()
}

fn named(subjects: Vec<Subject>) -> impl Iterator<Item = (String, Subject)> {
    subjects.into_iter().map(|subject| (subject.name.clone(), subject))
}

fn run(daemon: &Containerd, subject: &Subject, id: &str) -> Result<f64> {
    Ok(clock::time(daemon, subject, id)?.as_secs_f64() * 1000.0)
}

fn with_peer(bench: &Bench, mut subjects: Vec<Subject>) -> Vec<Subject> {
    subjects.extend(bench.peer.iter().map(|_| Subject::peer()));
    subjects
}

fn start(bench: &Bench) -> Result<Vec<Table>> {
    let daemon = bench.containerd()?;
    let all = [Subject::floor(), Subject::lighter(), Subject::lighter_native(), Subject::runc()];
    let lines = in_turns(named(with_peer(bench, all.into())), bench.runs, WARM_UP, |subject, id| {
        run(&daemon, subject, id)
    });
    let title = format!("ctr run --rm, {} mounts on the node", mounts::count()?);
    Ok(vec![Table { key: "start".into(), title, unit: "ms", lines }])
}

fn many_mounts(bench: &Bench) -> Result<Vec<Table>> {
    let daemon = bench.containerd()?;
    let many = Many::below(daemon.scope.dir.join("many"), MANY)?;
    let all = [Subject::floor(), Subject::lighter(), Subject::lighter_native(), Subject::runc()];
    let lines = in_turns(named(with_peer(bench, all.into())), bench.runs, WARM_UP, |subject, id| {
        run(&daemon, subject, id)
    });
    drop(many);
    let title = format!("ctr run --rm, {MANY} mounts on the node");
    Ok(vec![Table { key: "many-mounts".into(), title, unit: "ms", lines }])
}

fn quota(bench: &Bench) -> Result<Vec<Table>> {
    let daemon = bench.containerd()?;
    let all = with_peer(bench, vec![Subject::floor(), Subject::lighter(), Subject::runc()]);
    let all = all.into_iter().map(|subject| subject.with(&TENTH)).collect();
    let lines = in_turns(named(all), bench.runs, WARM_UP, |subject, id| run(&daemon, subject, id));
    Ok(vec![Table {
        key: "quota".into(),
        title: "ctr run --rm with a tenth of a processor".into(),
        unit: "ms",
        lines,
    }])
}

/// Removes the cache, so that the next start compiles again.
pub fn forget_code(daemon: &Containerd) -> Result<()> {
    if daemon.cache().exists() {
        fs::remove_dir_all(daemon.cache())?;
    }
    Ok(())
}

/// The first start of a component compiles it.
fn big(bench: &Bench) -> Result<Vec<Table>> {
    const SAYS: &str = "6 of 6 libraries made sense of \"1\"\n";
    let daemon = bench.containerd()?;
    let subject = |subject: Subject| Subject { args: &["/cases/big.wasm"], says: SAYS, ..subject };
    let mut all = vec![
        ("lighter, first".to_owned(), (subject(Subject::lighter()), true)),
        ("lighter, second".to_owned(), (subject(Subject::lighter()), false)),
    ];
    all.extend(bench.peer.iter().map(|_| ("peer, each".to_owned(), (subject(Subject::peer()), false))));
    let lines = in_turns(all, bench.runs.div_ceil(4), 0, |(subject, first), id| {
        if *first {
            forget_code(&daemon)?;
        }
        run(&daemon, subject, id)
    });
    let title = "ctr run --rm of a component of 3.4 MB".into();
    Ok(vec![Table { key: "big".into(), title, unit: "ms", lines }])
}

fn socket(bench: &Bench) -> Result<Vec<Table>> {
    const TASKS: usize = 40;
    let daemon = bench.containerd()?;
    let all = with_peer(bench, vec![Subject::runc(), Subject::lighter(), Subject::lighter_native()]);
    let table = |clients: usize| {
        let lines = in_turns(named(all.clone()), bench.runs.div_ceil(4), 1, |subject, id| {
            let name = format!("{clients}-{id}");
            let pod = Pod::start(&daemon, subject, &name)?;
            let rate = pod.rate(clients, TASKS);
            pod.stop()?;
            rate
        });
        let title = format!("tasks straight on the shim's socket, {clients} at once");
        Table { key: format!("socket-{clients}"), title, unit: "tasks/s", lines }
    };
    Ok(vec![table(1), table(4)])
}

fn sieve(bench: &Bench) -> Result<Vec<Table>> {
    let daemon = bench.containerd()?;
    let [(_, wasm), (_, native)] = SIEVES;
    let mut all = vec![
        ("runc, native".to_owned(), Subject { args: native, says: "done\n", ..Subject::runc() }),
        ("lighter, Wasm".to_owned(), Subject { args: wasm, says: "done\n", ..Subject::lighter() }),
    ];
    let peer = Subject { args: wasm, says: "done\n", ..Subject::peer() };
    all.extend(bench.peer.iter().map(|_| ("peer, Wasm".to_owned(), peer.clone())));
    let lines = in_turns(all, bench.runs.div_ceil(4), 1, |subject, id| run(&daemon, subject, id));
    Ok(vec![Table { key: "sieve".into(), title: "a loop that only computes".into(), unit: "ms", lines }])
}

/// Idle pods of one container each, then more containers in one pod.
fn memory(bench: &Bench) -> Result<Vec<Table>> {
    const MORE: usize = 10;
    let mut subjects =
        vec![("runc", "io.containerd.runc.v2", Guest::Native), ("lighter", &bench.shim.runtime, Guest::Wasm)];
    subjects.extend(bench.peer.iter().map(|_| ("peer", "io.containerd.peer.v1", Guest::Wasm)));
    let table = |key: String, title: String| Table { key, title, unit: "KiB", lines: Vec::new() };
    let of_pods =
        |pods: &usize| table(format!("memory-{pods}"), format!("memory of an idle pod among {pods}"));
    let mut tables: Vec<Table> = bench.pods.iter().map(of_pods).collect();
    let mut more = table("memory-more".into(), "memory of one more container in a pod".into());
    for (name, runtime, guest) in subjects {
        let daemon = bench.containerd_of(runtime, false)?;
        let mut started = 0;
        for (pods, table) in bench.pods.iter().zip(&mut tables) {
            while started < *pods {
                daemon.run(&format!("pod-{started}")).args(guest.ready()).detach()?;
                started += 1;
            }
            note(table, name, memory::held(&daemon)?, Held::default(), *pods);
        }
        let before = memory::held(&daemon)?;
        for number in 0..MORE {
            let run = daemon.run(&format!("more-{number}")).annotation(SANDBOX, "pod-0");
            run.args(guest.ready()).detach()?;
        }
        note(&mut more, name, memory::held(&daemon)?, before, MORE);
    }
    tables.push(more);
    Ok(tables)
}

fn note(table: &mut Table, name: &str, held: Held, before: Held, among: usize) {
    let figures = [
        ("shared fairly", held.share, before.share),
        ("private", held.private, before.private),
        ("kernel", held.kernel, before.kernel),
    ];
    for (what, held, before) in figures {
        let mut line = Line::new(format!("{name}, {what}"));
        line.note(Ok(held.saturating_sub(before) as f64 / among as f64));
        table.lines.push(line);
    }
}

/// Many pods at once through CRI, from the first request until all run.
fn crowd(bench: &Bench) -> Result<Vec<Table>> {
    const PODS: usize = 100;
    const CLIENTS: usize = 8;
    let mut lines = Vec::new();
    for (name, runtime, guest) in [
        ("runc, native", "io.containerd.runc.v2", Guest::Native),
        ("lighter, Wasm", &bench.shim.runtime, Guest::Wasm),
    ] {
        let daemon = bench.containerd_of(runtime, true)?;
        Cri::connect(&daemon)?.pod("first").run()?.container("first").args(guest.ready()).start()?;
        let begin = Instant::now();
        let client = |client: usize| -> Result<()> {
            let cri = Cri::connect(&daemon)?;
            for number in (client..PODS).step_by(CLIENTS) {
                let pod = cri.pod(&format!("pod-{number}")).run()?;
                pod.container("app").args(guest.ready()).start()?;
            }
            Ok(())
        };
        let mut line = Line::new(name);
        line.note(thread::scope(|scope| {
            let threads: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(done) => done,
                Err(_) => bail!("a client panicked"),
            })?;
            Ok(begin.elapsed().as_secs_f64())
        }));
        lines.push(line);
    }
    Ok(vec![Table {
        key: "crowd".into(),
        title: format!("{PODS} pods at once through CRI"),
        unit: "s",
        lines,
    }])
}
