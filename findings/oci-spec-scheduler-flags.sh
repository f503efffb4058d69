#!/usr/bin/env bash
# Fact: oci-spec reads two of the runtime spec's seven scheduler flags under names of its own only. A config.json with
#   "SCHED_FLAG_RESET_ON_FORK" or "SCHED_FLAG_DL_OVERRUN" in process.scheduler.flags is not read at all; the names
#   that the crate takes, and writes, are "SCHED_RESET_ON_FORK" and "SCHED_FLAG_D_L_OVERRUN".
# Version: oci-spec 0.10.0 (which names runtime-spec 1.3.0), serde_json 1.0.154.
# Source: the runtime specification 1.2.0 and 1.3.0, config.md, "Linux Process", scheduler, and schema/defs-linux.json,
#   SchedulerFlag; against the crate, run here.
# Date: 2026-11-28
# Why it matters here: each container's config.json is read with this crate. One flag, which is only about priorities,
#   decides whether the container can be created, and a spec that the crate wrote is not what other runtimes read.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export CARGO_TARGET_DIR=$dir/target
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
oci-spec = { version = "=0.10.0", default-features = false, features = ["runtime"] }
serde_json = "=1.0.154"

[workspace]
TOML
cat >src/main.rs <<'RUST'
use oci_spec::runtime::{LinuxSchedulerFlag, Spec};

/// The specification's, in its order.
const NAMES: [&str; 7] = [
    "SCHED_FLAG_RESET_ON_FORK",
    "SCHED_FLAG_RECLAIM",
    "SCHED_FLAG_DL_OVERRUN",
    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",
    "SCHED_FLAG_UTIL_CLAMP_MIN",
    "SCHED_FLAG_UTIL_CLAMP_MAX",
];

fn main() {
    for name in NAMES {
        let config = serde_json::json!({
            "ociVersion": "1.2.0",
            "root": { "path": "rootfs" },
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": ["true"],
                "cwd": "/",
                "scheduler": { "policy": "SCHED_OTHER", "nice": 5, "flags": [name] },
            },
        });
        match serde_json::from_str::<Spec>(&config.to_string()) {
            Ok(_) => println!("{name}: read"),
            Err(error) => println!("{name}: {}", error.to_string().split(',').next().unwrap_or_default()),
        }
    }
    for flag in [LinuxSchedulerFlag::SchedResetOnFork, LinuxSchedulerFlag::SchedFlagDLOverrun] {
        println!("{flag:?} is written as {}", serde_json::to_string(&flag).unwrap());
    }
}
RUST
cat >expected <<'TEXT'
SCHED_FLAG_RESET_ON_FORK: unknown variant `SCHED_FLAG_RESET_ON_FORK`
SCHED_FLAG_RECLAIM: read
SCHED_FLAG_DL_OVERRUN: unknown variant `SCHED_FLAG_DL_OVERRUN`
SCHED_FLAG_KEEP_POLICY: read
SCHED_FLAG_KEEP_PARAMS: read
SCHED_FLAG_UTIL_CLAMP_MIN: read
SCHED_FLAG_UTIL_CLAMP_MAX: read
SchedResetOnFork is written as "SCHED_RESET_ON_FORK"
SchedFlagDLOverrun is written as "SCHED_FLAG_D_L_OVERRUN"
TEXT

cargo run --quiet --jobs 1 >output
echo "oci-spec $(sed -n '/^name = "oci-spec"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)"
cat output
diff expected output >&2 || { echo "oci-spec does otherwise now" >&2; exit 1; }
echo "behaviour: two names of the runtime specification make the whole config.json unreadable"
