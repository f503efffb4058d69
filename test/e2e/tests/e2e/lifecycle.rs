//! Kill, delete, events: what containerd is promised about every task, Wasm or native.

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::process::{LIMIT, Running, poll, run};
use e2e::runner::Scenario;

/// containerd documents this order; clients rely on it.
const ORDER: [&str; 4] = ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"];

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![Scenario::any("native-kill-all-children", kill_all_children)];
    scenarios.extend(both("sigkill", sigkill));
    scenarios.extend(both("kill-all", kill_all));
    scenarios.extend(both("delete-running", delete_running));
    scenarios.extend(both("events", events));
    scenarios
}

/// The same check for a Wasm guest and for a native one.
pub fn both(name: &str, check: fn(&Containerd, Guest) -> Result<()>) -> [Scenario; 2] {
    [
        Scenario::ours(format!("wasm-{name}"), move |daemon| check(daemon, Guest::Wasm)),
        Scenario::any(format!("native-{name}"), move |daemon| check(daemon, Guest::Native)),
    ]
}

fn sigkill(daemon: &Containerd, guest: Guest) -> Result<()> {
    let mut running = daemon.run("killed").args(guest.ready()).start()?;
    running.says("ready", LIMIT)?;
    daemon.kill("killed", "SIGKILL", false)?;
    running.finish(LIMIT)?.exits(137)?.prints("ready").map(drop)
}

fn kill_all(daemon: &Containerd, guest: Guest) -> Result<()> {
    let mut running = daemon.run("killed").args(guest.ready()).start()?;
    running.says("ready", LIMIT)?;
    daemon.kill("killed", "SIGKILL", true)?;
    running.finish(LIMIT)?.exits(137).map(drop)
}

/// A signal to all reaches a child that the first process would not have ended.
fn kill_all_children(daemon: &Containerd) -> Result<()> {
    let script = "sh -c 'trap \"echo child; exit\" USR1; echo ready; while :; do sleep 0.1; done' & \
                  trap : USR1; wait; wait";
    let mut running = daemon.run("family").args(&["/bin/sh", "-c", script]).start()?;
    running.says("ready", LIMIT)?;
    daemon.kill("family", "SIGUSR1", true)?;
    running.says("child", LIMIT)?;
    running.finish(LIMIT).map(drop)
}

fn delete_running(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("busy").args(guest.ready()).detach()?;
    let refused = daemon.try_delete_task("busy")?;
    ensure!(refused.code != 0, "a running task was deleted");
    refused.complains("failed precondition")?;
    ensure!(daemon.task("busy")?.status == "RUNNING", "the task does not run any more");
    daemon.kill_and_delete("busy")
}

/// Every event of a task, in order, while someone listens.
fn events(daemon: &Containerd, guest: Guest) -> Result<()> {
    let listener = Running::start(&mut daemon.ctr(["events"]))?;
    let mut round = 0;
    // A change of our own shows when the listener is listening.
    poll("ctr events to listen", LIMIT, || {
        round += 1;
        let label = format!("round={round}");
        run(&mut daemon.ctr(["namespaces", "label", &daemon.scope.tag, &label]))?.ok()?;
        Ok(listener.stdout().contains("/namespaces/").then_some(()))
    })?;
    daemon.run("seen").args(guest.hello()).finish()?.ok()?;
    let topics = || -> Vec<String> {
        let said = listener.stdout();
        let ours = said.lines().filter(|line| line.contains(r#""container_id":"seen""#));
        ours.filter_map(|line| Some(line.split_whitespace().find(|word| word.starts_with("/tasks/"))?.into()))
            .collect()
    };
    // runc's shim loses its last event now and then, when it ends before containerd read it.
    let expected = match daemon.shim.is_ours() {
        true => &ORDER[..],
        false => &ORDER[..3],
    };
    poll("the last event", LIMIT, || Ok((topics().len() >= expected.len()).then_some(())))
        .with_context(|| listener.stdout())?;
    ensure!(topics()[..expected.len()] == *expected, "events {:?}", topics());
    Ok(())
}
