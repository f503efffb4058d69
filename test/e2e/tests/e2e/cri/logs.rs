//! A container's log, and its termination log.

use std::fs;

use anyhow::{Result, ensure};
use e2e::cri::{self, Cri};
use e2e::guests::Guest;
use e2e::runner::Scenario;

use super::both;

/// A program that prints a line every 50 ms.
pub const TICK: &str = "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done";

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("termination-log", termination_log));
    scenarios.push(cri::any("cri-native-log-format", log_format));
    scenarios.push(cri::any("cri-native-log-reopened", log_reopened));
    scenarios
}

/// Both streams, each in order; a line without a newline; a line that is too long for one record.
fn log_format(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("log").run()?;
    let script = "echo one; echo two >&2; echo three; printf %20000d 7; echo; printf open";
    let printer = pod.container("printer").script(script).start()?;
    let output = printer.finish()?.ok()?.complains("two\n")?;
    let mut lines = output.stdout.lines().map(|line| if line.len() > 9000 { "long" } else { line });
    let expected = ["one", "three", "long", "open"];
    ensure!(lines.by_ref().eq(expected), "it logged {} bytes, not {expected:?}", output.stdout.len());
    ensure!(output.stdout.len() == 20_000 + "one\nthree\n\nopen".len(), "{} bytes", output.stdout.len());
    let log = printer.log()?;
    let records: Vec<&str> =
        log.iter().filter(|[_, of, ..]| of == "stdout").map(|[_, _, whole, _]| &**whole).collect();
    ensure!(records == ["F", "F", "P", "F", "P"], "the records are {records:?}");
    ensure!(log.iter().all(|[when, ..]| when.contains('T')), "the times are not as in RFC 3339: {log:?}");
    Ok(())
}

/// As logrotate does it: the log is renamed, and a new one takes its place.
fn log_reopened(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("rotated").run()?;
    let ticking = pod.container("ticking").script(TICK).start()?;
    ticking.says("tick 1\n")?;
    let old = pod.logs().join("old.log");
    fs::rename(ticking.log_path(), &old)?;
    ticking.reopen_log()?;
    let end = fs::metadata(&old)?.len();
    ticking.says("tick ")?;
    ensure!(fs::metadata(&old)?.len() == end, "the old log goes on");
    // No line was lost between the two.
    let last = fs::read_to_string(&old)?.lines().count();
    ticking.says(&format!("tick {last}\n"))
}

/// What a container writes to its termination log is in the file that the kubelet mounted.
fn termination_log(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let (script, code, word) = match guest {
        Guest::Wasm => (vec!["/guests/trap.wasm"], 134, "unreachable"),
        Guest::Native => (vec!["/bin/sh", "-c", "echo sunk >/dev/termination-log; exit 3"], 3, "sunk"),
    };
    let log = cri.daemon.scope.dir.join("tmp").join(format!("termination-{}", guest.word()));
    fs::write(&log, "")?;
    let pod = cri.pod("last").run()?;
    let container = pod.container("words").args(&script).mount(&log, "/dev/termination-log", |_| ());
    let output = container.finish()?.exits(code)?;
    let logged = fs::read_to_string(&log)?;
    ensure!(logged.contains(word), "the termination log says {logged:?}");
    ensure!(guest == Guest::Native || output.stderr.contains(word), "stderr says {:?}", output.stderr);
    Ok(())
}
