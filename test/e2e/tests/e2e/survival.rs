//! Pods outlive containerd: after being stopped or killed and started again, it finds every task as it was.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use e2e::scope::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long containerd is down.
const AWAY: Duration = Duration::from_secs(10);
/// How many containers of each kind run.
const EACH: usize = 5;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("survives-sigterm", |daemon| survive(daemon, Signal::SIGTERM)),
        Scenario::ours("survives-sigkill", |daemon| survive(daemon, Signal::SIGKILL)),
    ]
}

/// Ten tasks: of each kind one is frozen, one has an exec, and one ends while containerd is down.
fn survive(daemon: &Containerd, signal: Signal) -> Result<()> {
    let names: Vec<(String, Guest)> = [Guest::Wasm, Guest::Native]
        .into_iter()
        .flat_map(|guest| (0..EACH).map(move |number| (format!("{}-{number}", guest.word()), guest)))
        .collect();
    for (id, guest) in &names {
        daemon.run(id).args(guest.ready()).detach()?;
    }
    for (guest, word) in [(Guest::Wasm, "wasm"), (Guest::Native, "native")] {
        daemon.pause(&format!("{word}-1"))?;
        let log = daemon.scope.dir.join("log").join(format!("{signal}-{word}"));
        let uri = format!("file://{}", log.display());
        let exec = daemon.exec(&format!("{word}-2"), "stays", guest.ready());
        exec.flag("--log-uri", &uri).detached()?;
        poll("the exec", LIMIT, || {
            Ok(fs::read_to_string(&log).is_ok_and(|text| text == "ready\n").then_some(()))
        })?;
    }
    let mut before = daemon.tasks()?;
    let shims: Vec<Process> = names.iter().map(|(id, _)| daemon.shim_of(id)).collect::<Result<_>>()?;

    daemon.stop(signal)?;
    thread::sleep(AWAY / 2);
    for word in ["wasm", "native"] {
        let task = before.iter().find(|task| task.id == format!("{word}-3")).context("no such task")?;
        kill(Pid::from_raw(task.pid), Signal::SIGKILL)?;
    }
    thread::sleep(AWAY / 2);
    daemon.resume()?;

    for task in before.iter_mut().filter(|task| task.id.ends_with("-3")) {
        task.status = "STOPPED".into();
    }
    let (mut was, mut is) = (before.clone(), daemon.tasks()?);
    was.sort_by(|one, other| one.id.cmp(&other.id));
    is.sort_by(|one, other| one.id.cmp(&other.id));
    ensure!(was == is, "{was:?} became {is:?}");
    for ((id, _), shim) in names.iter().zip(&shims) {
        ensure!(daemon.shim_of(id)? == *shim, "the daemon of {id} changed");
    }
    for (guest, word) in [(Guest::Wasm, "wasm"), (Guest::Native, "native")] {
        goes_on(daemon, guest, word)?;
    }
    for word in ["wasm", "native"] {
        daemon.delete_task(&format!("{word}-3"), 137)?;
        daemon.delete_container(&format!("{word}-3"))?;
    }
    names.iter().filter(|(id, _)| !id.ends_with("-3")).try_for_each(|(id, _)| daemon.kill_and_delete(id))
}

/// After the restart every operation still works.
fn goes_on(daemon: &Containerd, guest: Guest, word: &str) -> Result<()> {
    daemon.resume_task(&format!("{word}-1"))?;
    ensure!(daemon.pids(&format!("{word}-2"))?.len() == 2, "the exec of {word}-2 is gone");
    daemon.kill_exec(&format!("{word}-2"), "stays", "SIGTERM")?;
    poll("the exec's end", LIMIT, || Ok((daemon.pids(&format!("{word}-2"))?.len() == 1).then_some(())))?;
    daemon.exec(&format!("{word}-0"), "later", guest.three()).finish()?.exits(3)?;
    Ok(())
}
