//! Many runs, in a row and at once. The census after each scenario reports what was left.

use std::thread;

use anyhow::{Context as _, Error, Result, anyhow, ensure};
use e2e::census::Census;
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::runner::Scenario;

use crate::lifecycle::both;

const IN_A_ROW: usize = 200;
/// Fewer, since a native run takes several times as long, and Wasm's runs cover the shared code.
const NATIVE_IN_A_ROW: usize = 50;
const AT_ONCE: usize = 20;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![
        Scenario::ours(format!("wasm-{IN_A_ROW}-in-a-row"), |daemon| in_a_row(daemon, Guest::Wasm, IN_A_ROW))
            .on_newest(),
        Scenario::any(format!("native-{NATIVE_IN_A_ROW}-in-a-row"), |daemon| {
            in_a_row(daemon, Guest::Native, NATIVE_IN_A_ROW)
        }),
    ];
    scenarios.extend(both("census", census));
    scenarios.extend(both(&format!("{AT_ONCE}-at-once"), at_once));
    scenarios
}

/// The census sees a running container: otherwise its silence would prove nothing.
fn census(daemon: &Containerd, guest: Guest) -> Result<()> {
    let before = Census::take(daemon)?;
    daemon.run("counted").args(guest.ready()).detach()?;
    let more = before.left_behind(&Census::take(daemon)?);
    for kind in ["process ", "cgroup ", "state "] {
        ensure!(more.iter().any(|line| line.starts_with(kind)), "the census sees no {kind}among {more:?}");
    }
    daemon.kill_and_delete("counted")
}

fn in_a_row(daemon: &Containerd, guest: Guest, count: usize) -> Result<()> {
    (1..=count).try_for_each(|round| {
        let output = daemon.run("again").args(guest.hello()).finish()?;
        output.ok().and_then(|output| output.prints("hello")).with_context(|| format!("run {round}"))?;
        Ok(())
    })
}

fn at_once(daemon: &Containerd, guest: Guest) -> Result<()> {
    let one = |number: usize| -> Result<()> {
        daemon.run(&format!("crowd-{number}")).args(guest.hello()).finish()?.ok()?.prints("hello")?;
        Ok(())
    };
    let results: Vec<Result<(), Error>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("panicked")))).collect()
    });
    results.into_iter().collect()
}
