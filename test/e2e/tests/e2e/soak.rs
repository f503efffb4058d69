//! A long-lived pod: a thousand short tasks, many at once, clients that leave in the middle. The descriptors,
//! threads and memory of the daemon and its nursery must not grow.

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Error, Result, anyhow, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::run;
use e2e::runner::Scenario;

use crate::pod::{SANDBOX, nursery};

const TASKS: usize = 1000;
/// How many tasks run before the first count: one-time setup is done by then.
const WARM_UP: usize = 100;
/// How many clients run at a time.
const CLIENTS: usize = 4;
const AT_ONCE: usize = 50;
const RACES: usize = 40;
/// How much memory may grow, in KiB: the allocator's pages are not all full.
const SLACK: u64 = 2048;
const PATIENCE: Duration = Duration::from_secs(5);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::measured(format!("soak-{TASKS}-tasks"), soak).on_newest(),
        Scenario::ours(format!("soak-{AT_ONCE}-at-once"), at_once),
        Scenario::ours("soak-races", races).on_newest(),
    ]
}

/// The resources of a process.
#[derive(Clone, Debug)]
struct Held {
    descriptors: usize,
    links: Vec<(i32, PathBuf)>,
    threads: usize,
    kib: u64,
}

impl Held {
    fn by(pid: i32) -> Result<Self> {
        let memory = kernel::status(pid, "RssAnon")?;
        let kib = memory.split(' ').next().context("no memory")?.parse()?;
        let mut links = kernel::descriptors(pid)?;
        // For each client that left, containerd may leave a connection open, with any runtime's shim.
        links.retain(|(_, link)| !link.to_string_lossy().starts_with("socket:"));
        Ok(Self { descriptors: links.len(), links, threads: kernel::threads(pid)?, kib })
    }

    fn must_not_exceed(&self, before: &Self, who: &str) -> Result<()> {
        let grown = self.descriptors > before.descriptors
            || self.threads > before.threads
            || self.kib > before.kib + SLACK;
        ensure!(!grown, "{who} grew: {before} became {self}: {:?}", self.links);
        Ok(())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} descriptors, {} threads, {} KiB", self.descriptors, self.threads, self.kib)
    }
}

fn pause(daemon: &Containerd) -> Result<[i32; 2]> {
    daemon.run("pause").annotation(SANDBOX, "pause").args(Guest::Native.ready()).detach()?;
    let shim = daemon.shim_of("pause")?;
    Ok([shim.pid, nursery(daemon, &shim)?])
}

fn held(pids: [i32; 2]) -> Result<[Held; 2]> {
    Ok([Held::by(pids[0])?, Held::by(pids[1])?])
}

/// Waits until neither holds more than before: containerd takes a moment to close its connections.
fn settled(pids: [i32; 2], before: &[Held; 2]) -> Result<[Held; 2]> {
    let mut after = held(pids)?;
    let compare = |after: &[Held; 2]| {
        let mut pairs = after.iter().zip(before).zip(["the daemon", "the nursery"]);
        pairs.try_for_each(|((after, before), who)| after.must_not_exceed(before, who))
    };
    let end = Instant::now() + PATIENCE;
    while compare(&after).is_err() && Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        after = held(pids)?;
    }
    compare(&after).map(|()| after)
}

fn soak(daemon: &Containerd) -> Result<String> {
    let pids = pause(daemon)?;
    tasks(daemon, 0, WARM_UP)?;
    let before = held(pids)?;
    tasks(daemon, WARM_UP, TASKS)?;
    let after = settled(pids, &before)?;
    daemon.kill_and_delete("pause")?;
    Ok(format!("daemon {} → {}; nursery {} → {}", before[0], after[0], before[1], after[1]))
}

/// Runs tasks in the pod: three guests, then a Linux program, and so on.
fn tasks(daemon: &Containerd, from: usize, to: usize) -> Result<()> {
    let one = |number: usize| -> Result<()> {
        let guest = if number % 4 == 3 { Guest::Native } else { Guest::Wasm };
        let run = daemon.run(&format!("short-{number}")).annotation(SANDBOX, "pause");
        run.args(guest.hello()).finish()?.ok()?.prints("hello").with_context(|| format!("task {number}"))?;
        Ok(())
    };
    in_parallel(CLIENTS, |client| (from..to).filter(|number| number % CLIENTS == client).try_for_each(one))
}

fn in_parallel(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let results: Vec<Result<(), Error>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn({
                    let work = &work;
                    move || work(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("panicked")))).collect()
    });
    results.into_iter().collect()
}

fn at_once(daemon: &Containerd) -> Result<()> {
    pause(daemon)?;
    in_parallel(AT_ONCE, |number| {
        let guest = if number % 5 == 4 { Guest::Native } else { Guest::Wasm };
        let run = daemon.run(&format!("crowd-{number}")).annotation(SANDBOX, "pause");
        run.args(guest.hello()).finish()?.ok()?.prints("hello")?;
        Ok(())
    })?;
    daemon.kill_and_delete("pause")
}

/// Clients that leave at any moment of a Create, a Start or an exec, with kills and deletes in between. Every
/// container can be removed afterwards, and the pod still works.
fn races(daemon: &Containerd) -> Result<()> {
    let pids = pause(daemon)?;
    let mut before = None;
    for round in 0..RACES {
        let guest = if round % 2 == 0 { Guest::Wasm } else { Guest::Native };
        let id = format!("race-{round}");
        let running = daemon.run(&id).annotation(SANDBOX, "pause").args(guest.ready()).start()?;
        thread::sleep(random(150)?);
        if round % 3 == 0 {
            // The task may not exist yet, or not any more.
            drop(run(&mut daemon.ctr(["tasks", "kill", "--signal", "SIGKILL", &id]))?);
        }
        // Kills the client.
        drop(running);
        thread::sleep(random(30)?);
        remove(daemon, &id)?;
        if round == RACES / 2 {
            before = Some(held(pids)?);
        }
    }
    daemon
        .run("after")
        .annotation(SANDBOX, "pause")
        .args(Guest::Wasm.hello())
        .finish()?
        .ok()?
        .prints("hello")?;
    let before = before.context("no count was taken")?;
    settled(pids, &before)?;
    daemon.kill_and_delete("pause")
}

/// containerd finishes a client's request, so a container may be created after its client has left.
fn remove(daemon: &Containerd, id: &str) -> Result<()> {
    e2e::process::poll(&format!("container {id} to be gone"), Duration::from_secs(10), || {
        drop(run(&mut daemon.ctr(["tasks", "delete", "--force", id]))?);
        drop(run(&mut daemon.ctr(["containers", "delete", id]))?);
        let listed = run(&mut daemon.ctr(["containers", "list", "--quiet"]))?.ok()?;
        Ok((!listed.stdout.lines().any(|line| line == id)).then_some(()))
    })
}

fn random(max: u32) -> Result<Duration> {
    let chance = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_micros();
    Ok(Duration::from_millis(u64::from(chance % max)))
}
