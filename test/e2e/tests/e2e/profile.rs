//! The seccomp profile of a container's spec, applied to guests: it restricts them in addition to their own filter,
//! and containerd's default profile allows all that guests need.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::process::LIMIT;
use e2e::runner::Scenario;
use serde_json::{Value, json};

use crate::data::shared_dir;

/// Creates directories in `/volume`; exits with 0 if that is allowed.
const MKDIR: &[&str] = &["/cases/directories.wasm"];
/// 128 and SIGSYS.
const KILLED: i32 = 159;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("profile-default", by_default),
        Scenario::ours("profile-default-p2", |daemon| {
            let run = daemon.run("default").seccomp(None).args(&["/cases/component.wasm"]);
            run.finish()?.ok().map(drop)
        }),
        Scenario::ours("http-profile-default", |daemon| {
            let web = daemon.run("web").seccomp(None).args(&["/guests/http-hello.wasm"]).serve()?;
            web.lives()?;
            web.end()
        }),
        Scenario::ours("profile-mkdir-refused", |daemon| {
            make_dirs(daemon, "refused", Some(mkdir("SCMP_ACT_ERRNO")), 1)?;
            make_dirs(daemon, "made", None, 0)
        }),
        Scenario::ours("profile-mkdir-kills", |daemon| {
            make_dirs(daemon, "kills", Some(mkdir("SCMP_ACT_KILL")), KILLED)
        }),
        Scenario::ours("profile-allow-list", allow_list),
        Scenario::ours("wasm-profile-notify", |daemon| notify(daemon, Guest::Wasm)),
        Scenario::ours("native-profile-notify", |daemon| notify(daemon, Guest::Native)),
        Scenario::ours("profile-masks", |daemon| {
            // Standard output is an odd number.
            let path = written(daemon, &without(&["write", "writev"], "SCMP_ACT_ERRNO", &masked(1, 0)))?;
            daemon
                .run("odd")
                .seccomp(Some(&path))
                .args(Guest::Wasm.hello())
                .finish()?
                .ok()?
                .prints("hello")
                .map(drop)
        }),
        Scenario::any("native-profile-masks", |daemon| {
            // fork() calls clone with SIGCHLD, 17.
            let path = written(daemon, &without(&["clone"], "SCMP_ACT_ERRNO", &masked(17, 0)))?;
            let run = daemon.run("forks").seccomp(Some(&path)).args(&["/bin/sh", "-c", "echo forked | cat"]);
            run.finish()?.ok()?.prints("forked").map(drop)
        }),
        Scenario::ours("profile-hook", hook),
    ]
}

/// containerd's default profile.
fn by_default(daemon: &Containerd) -> Result<()> {
    daemon.run("default").seccomp(None).args(Guest::Wasm.hello()).finish()?.ok()?.prints("hello")?;
    let mut echo = daemon.run("default").seccomp(None).args(&["/guests/cat.wasm"]).start()?;
    daemon.becomes("default", "RUNNING")?;
    echo.feed("line\n")?;
    echo.finish(LIMIT)?.ok()?.prints("line")?;
    daemon.run("default").seccomp(None).args(&["/cases/trap.wasm"]).finish()?.exits(134).map(drop)
}

/// A profile that allows everything except creating directories.
fn mkdir(action: &str) -> Value {
    without(&["mkdir", "mkdirat"], action, &json!([]))
}

/// A profile that allows everything except `calls` whose arguments match `args`.
fn without(calls: &[&str], action: &str, args: &Value) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": calls, "action": action, "args": args }],
    })
}

/// Matches if the first argument, masked with `mask`, equals `datum`.
fn masked(mask: u64, datum: u64) -> Value {
    json!([{ "index": 0, "value": mask, "valueTwo": datum, "op": "SCMP_CMP_MASKED_EQ" }])
}

fn notify(daemon: &Containerd, guest: Guest) -> Result<()> {
    let path = written(daemon, &mkdir("SCMP_ACT_NOTIFY"))?;
    let output = daemon.run("notified").seccomp(Some(&path)).args(guest.hello()).finish()?;
    ensure!(output.code != 0, "it runs: {output:?}");
    output.complains("notifies a listener (SCMP_ACT_NOTIFY)").map(drop)
}

/// The profile applies to a hook that runs in the container, too.
fn hook(daemon: &Containerd) -> Result<()> {
    let mut spec = daemon.default_spec("hooked", Guest::Wasm.hello())?;
    let script = "mkdir /tmp/of-hook && rmdir /tmp/of-hook";
    let env = ["PATH=/bin"];
    spec["hooks"] =
        json!({ "startContainer": [{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": env }] });
    let run = |spec: &Value| daemon.run_spec("hooked", &daemon.write_spec("hooked", spec)?).finish();
    run(&spec)?.ok()?.prints("hello")?;
    spec["linux"]["seccomp"] = mkdir("SCMP_ACT_ERRNO");
    let output = run(&spec)?;
    ensure!(output.code != 0 && output.stdout.is_empty(), "it runs: {output:?}");
    output.complains("startContainer hook failed").map(drop)
}

/// A profile that allows only the calls listed in crates/SECURITY.md suffices: it need not name the calls that install
/// a guest's own filter. With one that is too narrow the container fails.
fn allow_list(daemon: &Containerd) -> Result<()> {
    let only = |calls: &[&str]| {
        let allowed = json!({ "names": calls, "action": "SCMP_ACT_ALLOW" });
        written(daemon, &json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [allowed] }))
    };
    let path = only(&table())?;
    daemon.run("listed").seccomp(Some(&path)).args(Guest::Wasm.hello()).finish()?.ok()?.prints("hello")?;
    daemon.run("listed").seccomp(Some(&path)).args(&["/cases/trap.wasm"]).finish()?.exits(134)?;
    let path = only(&["write"])?;
    let output = daemon.run("listed").seccomp(Some(&path)).args(Guest::Wasm.hello()).finish()?;
    ensure!(output.code != 0 && output.stdout.is_empty(), "it runs: {output:?}");
    Ok(())
}

/// The calls of a guest's process, from the table in crates/SECURITY.md.
fn table() -> Vec<&'static str> {
    let page = include_str!("../../../../crates/SECURITY.md");
    let lines = page.lines().skip_while(|line| *line != "| for | calls |").skip(2);
    let calls = lines.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('`').nth(1));
    calls.flat_map(str::split_whitespace).collect()
}

fn make_dirs(daemon: &Containerd, volume: &str, profile: Option<Value>, code: i32) -> Result<()> {
    let volume = shared_dir(daemon, volume)?;
    let run = daemon.run("makes").bind(&volume, "/volume", true).args(MKDIR);
    let run = match &profile {
        Some(profile) => run.seccomp(Some(&written(daemon, profile)?)),
        None => run,
    };
    run.finish()?.exits(code).map(drop)
}

fn written(daemon: &Containerd, profile: &Value) -> Result<PathBuf> {
    let path = daemon.scope.dir.join("tmp/profile.json");
    fs::write(&path, profile.to_string())?;
    Ok(path)
}
