//! What a Wasm guest's process may do, as the kernel shows it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, ensure};
use cases::User;
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::runner::Scenario;
use serde_json::Value;

use crate::data::shared_folder;

/// The user that is not root.
pub const USER: User = User { uid: 1234, gid: 5678 };
/// WASI's number for "permission denied".
const DENIED: i32 = 2;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("jail-root", |daemon| jail(daemon, None)),
        Scenario::ours("jail-1234", |daemon| jail(daemon, Some(USER))),
        Scenario::ours("jail-secret-root", |daemon| {
            daemon.run("secret").args(&["/guests/secret.wasm"]).finish()?.exits(0).map(drop)
        }),
        Scenario::ours("jail-secret-1234", |daemon| {
            let run = daemon.run("secret").user(Some(USER)).args(&["/guests/secret.wasm"]);
            run.finish()?.exits(DENIED).map(drop)
        }),
        Scenario::ours("wasm-owner", |daemon| owner(daemon, Guest::Wasm)),
        Scenario::any("native-owner", |daemon| owner(daemon, Guest::Native)),
    ]
}

/// No capability, no new ones, a seccomp filter, and the ids that the spec says.
fn jail(daemon: &Containerd, user: Option<User>) -> Result<()> {
    daemon.run("jail").user(user).args(Guest::Wasm.ready()).detach()?;
    let pid = daemon.task("jail")?.pid;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let shown = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .with_context(|| format!("/proc/{pid}/status has no {key}"))
    };
    let spec = daemon.spec_of("jail")?;
    let user = &spec["process"]["user"];
    let four = |id: &Value| vec![id.to_string(); 4].join(" ");
    let mut expected: Vec<(&str, String)> =
        ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| (set, "0".repeat(16))).into();
    expected.push(("NoNewPrivs", "1".into()));
    expected.push(("Seccomp", "2".into()));
    expected.push(("Uid", four(&user["uid"])));
    expected.push(("Gid", four(&user["gid"])));
    expected.push(("Groups", groups(user)));
    expected.push(("Umask", "0022".into()));
    for (key, value) in expected {
        ensure!(shown(key)? == value, "{key} is {:?} instead of {value:?}", shown(key)?);
    }
    daemon.kill_and_delete("jail")
}

/// The spec's additional groups as the kernel lists them: sorted.
fn groups(user: &Value) -> String {
    let listed = user["additionalGids"].as_array().into_iter().flatten();
    let mut gids: Vec<u64> = listed.filter_map(Value::as_u64).collect();
    gids.sort_unstable();
    gids.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// A file made by user 1234 in a mount belongs to that user on the host.
fn owner(daemon: &Containerd, guest: Guest) -> Result<()> {
    let id = format!("owner-{}", guest.word());
    let folder = shared_folder(daemon, &id)?;
    daemon.run(&id).user(Some(USER)).bind(&folder, "/outbox", true).args(guest.make()).finish()?.ok()?;
    let made = fs::metadata(folder.join("made"))?;
    let (uid, gid) = (made.uid(), made.gid());
    ensure!((uid, gid) == (USER.uid, USER.gid), "the file belongs to {uid}:{gid}");
    Ok(())
}
