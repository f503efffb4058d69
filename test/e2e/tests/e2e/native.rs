//! Native Linux containers: what users of runc expect.

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::guests::Guest;
use e2e::runner::Scenario;

use crate::jail::USER;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::any("native-hello", |daemon| {
            daemon.run("n-hello").args(Guest::Native.hello()).finish()?.ok()?.prints("hello").map(drop)
        }),
        Scenario::any("native-exit-code", |daemon| {
            shell(daemon, "exit 0").finish()?.exits(0)?;
            shell(daemon, "exit 3").finish()?.exits(3)?;
            shell(daemon, "exit 255").finish()?.exits(255).map(drop)
        }),
        Scenario::any("native-stderr", |daemon| {
            shell(daemon, "echo out; echo err >&2").finish()?.ok()?.prints("out")?.complains("err").map(drop)
        }),
        Scenario::any("native-env", native_env),
        Scenario::any("native-cwd", |daemon| {
            shell(daemon, "pwd").cwd("/tmp").finish()?.ok()?.prints("/tmp").map(drop)
        }),
        Scenario::any("native-stdin", native_stdin),
        Scenario::any("native-uid", |daemon| {
            shell(daemon, "id -u; id -g").user(Some(USER)).finish()?.ok()?.prints("1234\n5678").map(drop)
        }),
        Scenario::any("native-secret", |daemon| {
            let denied = shell(daemon, "cat /secret").user(Some(USER)).finish()?;
            denied.exits(1)?.complains("Permission denied").map(drop)
        }),
        Scenario::any("native-readonly-rootfs", |daemon| {
            let refused = shell(daemon, "touch /tmp/new").read_only().finish()?;
            refused.exits(1)?.complains("Read-only file system").map(drop)
        }),
        Scenario::any("native-script", |daemon| {
            let output = daemon.run("n-script").args(&["/bin/hello.sh", "a", "b"]).finish()?;
            output.ok()?.prints("hello from /bin/hello.sh a b").map(drop)
        }),
        Scenario::any("native-path", |daemon| {
            daemon.run("n-path").args(&["echo", "found"]).finish()?.ok()?.prints("found").map(drop)
        }),
        Scenario::any("native-powers-unsaid", powers_unsaid),
        Scenario::any("native-pid-1", |daemon| {
            shell(daemon, "echo $$").finish()?.ok()?.prints("1").map(drop)
        }),
    ]
}

fn shell<'a>(daemon: &'a Containerd, script: &str) -> Run<'a> {
    daemon.run("n-sh").args(&["/bin/sh", "-c", script])
}

/// The environment is the spec's, without the shim's variables, one of which marks the tests' processes.
fn native_env(daemon: &Containerd) -> Result<()> {
    let run = daemon.run("n-env").args(&["/bin/env"]).env("A=b c");
    let printed = run.finish()?.ok()?.stdout;
    // Runtimes set HOME for a program that has none.
    let mut pairs: Vec<&str> = printed.lines().filter(|pair| !pair.starts_with("HOME=")).collect();
    pairs.sort_unstable();
    anyhow::ensure!(pairs == ["A=b c", "PATH=/bin"], "environment {pairs:?}");
    Ok(())
}

fn native_stdin(daemon: &Containerd) -> Result<()> {
    let mut running = daemon.run("n-stdin").args(&["/bin/wc", "-l"]).start()?;
    // ctr passes the end of its stdin on only once it has a task.
    daemon.becomes("n-stdin", "RUNNING")?;
    running.feed("one\ntwo\n")?;
    running.finish(e2e::process::LIMIT)?.ok()?.prints("2").map(drop)
}

/// A spec without capabilities grants none; an explicit `noNewPrivileges: false` equals a missing one, with a seccomp
/// filter, too.
fn powers_unsaid(daemon: &Containerd) -> Result<()> {
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; mkdir /tmp/new";
    let mut spec = daemon.default_spec("n-unsaid", &["/bin/sh", "-c", script])?;
    let process = spec["process"].as_object_mut().context("the default spec has no process")?;
    process.remove("capabilities");
    process.insert("noNewPrivileges".into(), false.into());
    spec["linux"]["seccomp"] = serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
    });
    let path = daemon.write_spec("n-unsaid", &spec)?;
    let output = daemon.run_spec("n-unsaid", &path).finish()?;
    let output = output.exits(1)?.complains("Operation not permitted")?;
    let mut expected: Vec<_> = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|set| format!("{set}:\t0000000000000000"))
        .into();
    expected.extend(["NoNewPrivs:\t0".to_owned(), "Seccomp:\t2".to_owned()]);
    ensure!(output.stdout.lines().eq(expected.iter()), "it has {:?}", output.stdout);
    Ok(())
}
