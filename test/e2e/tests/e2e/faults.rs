//! Faults while containers are created, used and removed: daemons, or containerd, are killed at any moment. Afterwards
//! every container can be removed, and nothing is left behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, anyhow, ensure};
use e2e::census::Census;
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::process::{poll, run};
use e2e::runner::Scenario;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How many clients run, and for how long.
const CLIENTS: usize = 4;
const LASTS: Duration = Duration::from_secs(10);
/// How often a daemon is killed.
const KILLS: Duration = Duration::from_millis(700);
/// How long removing the remains may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("faults-of-daemons", |daemon| mix(daemon, true, false)).on_newest(),
        Scenario::ours("faults-of-containerd", |daemon| mix(daemon, false, true)),
    ]
}

fn mix(daemon: &Containerd, daemons: bool, containerd: bool) -> Result<()> {
    let (before, end, made) = (Census::take(daemon)?, Instant::now() + LASTS, AtomicUsize::new(0));
    let working = || Instant::now() < end;
    let killed = thread::scope(|scope| -> Result<usize> {
        for client in 0..CLIENTS {
            let made = &made;
            scope.spawn(move || {
                for round in (0..).take_while(|_| working()) {
                    made.fetch_add(usize::from(live(daemon, client, round)), Ordering::Relaxed);
                }
            });
        }
        let restarts = scope.spawn(move || -> Result<()> {
            for _ in 0..2 {
                thread::sleep(LASTS / 3);
                if containerd {
                    daemon.stop(Signal::SIGKILL)?;
                    daemon.resume()?;
                }
            }
            Ok(())
        });
        let mut killed = 0;
        while daemons && working() {
            thread::sleep(KILLS);
            killed += usize::from(kill_one(daemon)?);
        }
        restarts.join().map_err(|_| anyhow!("panicked"))??;
        Ok(killed)
    })?;
    let made = made.into_inner();
    ensure!(made > 4 * CLIENTS, "only {made} containers ran without a fault");
    ensure!(killed > 4 || !daemons, "only {killed} daemons were killed");
    poll("all to be removed", PATIENCE, || {
        daemon.clear()?;
        Ok(daemon.tasks()?.is_empty().then_some(()))
    })?;
    before.settled(daemon)
}

/// Runs one container from create to delete; returns whether every step succeeded, which a fault may prevent.
fn live(daemon: &Containerd, client: usize, round: usize) -> bool {
    let guest = if (client + round).is_multiple_of(2) { Guest::Wasm } else { Guest::Native };
    let id = format!("mix-{client}-{round}");
    let tried = || -> Result<()> {
        daemon.run(&id).args(guest.ready()).detach_to("file:///dev/null")?;
        daemon.exec(&id, "exec", guest.hello()).finish()?.ok()?;
        thread::sleep(chance(100));
        daemon.kill(&id, "SIGKILL", false)?;
        daemon.becomes(&id, "STOPPED")
    };
    let whole = tried().is_ok();
    for what in [["tasks", "delete", "--force"], ["containers", "delete", ""]] {
        let args = what.iter().filter(|word| !word.is_empty());
        drop(run(daemon.ctr(args).arg(&id)));
    }
    whole
}

fn kill_one(daemon: &Containerd) -> Result<bool> {
    let mut daemons = daemon.scope.processes()?;
    daemons.retain(|process| process.command.contains("containerd-shim-") && process.parent == 1);
    let some = usize::try_from(chance(1000).as_millis())?;
    let Some(one) = daemons.get(some % daemons.len().max(1)) else { return Ok(false) };
    // It may have ended.
    Ok(kill(Pid::from_raw(one.pid), Signal::SIGKILL).is_ok())
}

fn chance(max: u32) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(u64::from(now.subsec_micros() % max))
}
