//! Kill, delete, events, stdio: what containerd relies on for every task, Wasm or native.

use std::path::Path;
use std::time::{Duration, Instant};

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
    scenarios.extend(both("exec-events", exec_events));
    scenarios.push(Scenario::measured("wasm-sigterm-busy", sigterm_busy));
    for guest in [Guest::Wasm, Guest::Native] {
        let name = |what: &str| format!("{}-{what}", guest.word());
        scenarios.push(Scenario::ours(name("stdout-missing"), move |daemon| stdout_missing(daemon, guest)));
    }
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

/// A guest that never calls its host ends promptly all the same; the output shows how promptly.
fn sigterm_busy(daemon: &Containerd) -> Result<String> {
    daemon.run("busy").args(&["/cases/stop-busy.wasm"]).detach()?;
    let process = format!("/proc/{}/exe", daemon.task("busy")?.pid);
    let start = Instant::now();
    daemon.kill("busy", "SIGTERM", false)?;
    let sent = start.elapsed();
    // A zombie has no `exe` any more.
    let gone = || Ok(Path::new(&process).read_link().is_err().then(|| start.elapsed()));
    let ended = poll("the guest to end", Duration::from_secs(2), gone)?;
    daemon.becomes("busy", "STOPPED")?;
    daemon.delete_task("busy", 143)?;
    daemon.delete_container("busy")?;
    Ok(format!("gone {} ms after `ctr kill` began, which took {} ms", ended.as_millis(), sent.as_millis()))
}

/// Create fails and names the missing fifo.
fn stdout_missing(daemon: &Containerd, guest: Guest) -> Result<()> {
    let uri = format!("fifo://{}", daemon.scope.dir.join("fifo/none").display());
    let output = daemon.run("mute").flag("--log-uri", &uri).args(guest.hello()).finish()?;
    ensure!(output.code != 0, "ran without its stdout; stdout {:?}", output.stdout);
    output.complains("ctr: ")?.complains("standard output")?.complains("fifo/none").map(drop)
}

/// A signal to all reaches a child that the first process would not have terminated.
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

/// Every event of a task arrives, in order.
fn events(daemon: &Containerd, guest: Guest) -> Result<()> {
    let listener = Listener::start(daemon)?;
    daemon.run("seen").args(guest.hello()).finish()?.ok()?;
    // runc's shim sometimes loses its last event, when it exits before containerd has read it.
    let expected = if daemon.shim.is_ours() { &ORDER[..] } else { &ORDER[..3] };
    listener.receives("seen", expected)
}

/// The events of an exec, among those of its container; its exit comes before the container's.
fn exec_events(daemon: &Containerd, guest: Guest) -> Result<()> {
    let listener = Listener::start(daemon)?;
    daemon.run("seen").args(guest.ready()).detach()?;
    daemon.exec("seen", "short", guest.hello()).finish()?.ok()?;
    let mut running = daemon.exec("seen", "long", guest.ready()).start()?;
    running.says("ready", LIMIT)?;
    daemon.kill_and_delete("seen")?;
    running.finish(LIMIT)?.exits(137)?;
    let (added, started) = ("/tasks/exec-added", "/tasks/exec-started");
    let (exit, delete) = ("/tasks/exit", "/tasks/delete");
    let mut expected = vec![ORDER[0], ORDER[1], added, started, exit, added, started, exit, exit];
    if daemon.shim.is_ours() {
        expected.push(delete);
    }
    listener.receives("seen", &expected)?;
    let exits = listener.lines("seen").into_iter().filter(|line| line.contains(exit));
    let ids: Vec<bool> = exits.map(|line| line.contains(r#""id":"seen""#)).collect();
    ensure!(ids == [false, false, true], "the container's own exit is not the last of the three: {ids:?}");
    Ok(())
}

/// A running `ctr events`.
pub struct Listener(Running);

impl Listener {
    /// Starts it, and waits until it receives events.
    pub fn start(daemon: &Containerd) -> Result<Self> {
        let listener = Running::start(&mut daemon.ctr(["events"]))?;
        let mut round = 0;
        // An event of our own shows that the listener is subscribed.
        poll("ctr events to listen", LIMIT, || {
            round += 1;
            let label = format!("round={round}");
            run(&mut daemon.ctr(["namespaces", "label", &daemon.scope.tag, &label]))?.ok()?;
            Ok(listener.stdout().contains("/namespaces/").then_some(()))
        })?;
        Ok(Self(listener))
    }

    /// The task events received of container `id`.
    pub fn lines(&self, id: &str) -> Vec<String> {
        let ours = format!(r#""container_id":"{id}""#);
        let of_tasks = |line: &&str| line.contains(&ours) && line.contains("/tasks/");
        self.0.stdout().lines().filter(of_tasks).map(Into::into).collect()
    }

    /// Waits until the topics received of container `id` begin with `expected`.
    pub fn receives(&self, id: &str, expected: &[&str]) -> Result<()> {
        let topics = || -> Vec<String> {
            let lines = self.lines(id);
            let topic = |line: &String| {
                Some(line.split_whitespace().find(|word| word.starts_with("/tasks/"))?.into())
            };
            lines.iter().filter_map(topic).collect()
        };
        poll("the last event", LIMIT, || Ok((topics().len() >= expected.len()).then_some(())))
            .with_context(|| self.0.stdout())?;
        ensure!(topics()[..expected.len()] == *expected, "events {:?}", topics());
        Ok(())
    }
}
