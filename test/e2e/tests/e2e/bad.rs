//! Input that cannot run: `ctr run` fails with a message that names the problem, and nothing is left
//! behind (the census after each scenario checks that).

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::output::Output;
use e2e::runner::Scenario;
use serde_json::{Value, json};

use crate::lifecycle::both;

/// More than the kernel's limit on a program's arguments, less than containerd's limit on a message.
const HUGE: usize = 5 << 20;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (name, entry, words) in [
        ("truncated-module", "/bad/truncated.wasm", &["/bad/truncated.wasm"][..]),
        ("empty-file", "/bad/empty.wasm", &["/bad/empty.wasm"]),
        ("directory", "/bad/directory.wasm", &["/bad/directory.wasm"]),
        ("missing-file", "/bad/none.wasm", &["/bad/none.wasm"]),
        ("missing-import", "/guests/import.wasm", &["no_such_world", "no_such_function"]),
    ] {
        scenarios.push(Scenario::ours(format!("bad-{name}"), move |daemon| {
            refused(&daemon.run("bad").args(&[entry]).finish()?, words)
        }));
    }
    scenarios.extend(both("bad-mount-source", |daemon, guest| {
        let missing = daemon.scope.dir.join("no-such-dir");
        let output = daemon.run("bad").bind(&missing, "/outbox", true).args(guest.hello()).finish()?;
        refused(&output, &["no-such-dir"])
    }));
    scenarios.extend(both("bad-no-process", |daemon, guest| {
        bad_spec(daemon, guest, &["process"], |spec| spec["process"] = Value::Null)
    }));
    scenarios.extend(both("bad-no-args", |daemon, guest| {
        bad_spec(daemon, guest, &["arg"], |spec| spec["process"]["args"] = json!([]))
    }));
    scenarios.extend(both("bad-huge-args", huge_args));
    scenarios
}

fn bad_spec(daemon: &Containerd, guest: Guest, words: &[&str], spoil: impl Fn(&mut Value)) -> Result<()> {
    refused(&spoiled(daemon, guest, spoil)?, words)
}

fn huge_args(daemon: &Containerd, guest: Guest) -> Result<()> {
    let output = spoiled(daemon, guest, |spec| {
        let program = [guest.hello()[0].to_owned()].into_iter();
        let args: Vec<String> = program.chain(vec!["x".repeat(1023); HUGE / 1024]).collect();
        spec["process"]["args"] = json!(args);
    })?;
    // For a native program the kernel reports it, after Start: the reason is then on stderr.
    ensure!(output.code != 0, "ran all the same; stdout of {} bytes", output.stdout.len());
    ensure!(output.stderr.to_lowercase().contains("argument list too long"), "stderr {:?}", output.stderr);
    Ok(())
}

/// Changes a default spec with `spoil` and runs it.
fn spoiled(daemon: &Containerd, guest: Guest, spoil: impl Fn(&mut Value)) -> Result<Output> {
    let mut spec = daemon.default_spec("bad", guest.hello())?;
    // Unchanged, it runs: so the failure below is due to `spoil`.
    let path = daemon.write_spec("bad", &spec)?;
    daemon.run_spec("good", &path).finish()?.ok()?.prints("hello")?;
    spoil(&mut spec);
    let path = daemon.write_spec("bad", &spec)?;
    daemon.run_spec("bad", &path).finish()
}

fn refused(output: &Output, words: &[&str]) -> Result<()> {
    ensure!(output.code != 0, "ran all the same; stdout {:?}", output.stdout);
    let reason = output.stderr.lines().find(|line| line.starts_with("ctr: "));
    ensure!(reason.is_some(), "ctr gives no reason; stderr {:?}", output.stderr);
    let missing = words.iter().find(|word| !reason.is_some_and(|line| line.contains(**word)));
    ensure!(missing.is_none(), "the reason does not name {missing:?}: {reason:?}");
    Ok(())
}
