#!/usr/bin/env bash
# Builds the daemon with WasmEdge and the shim's name for it, beside the others: containerd's
# io.containerd.wasmedge.v1 is the same small program, which executes the daemon that its name selects.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/provision.sh wasmedge
scripts/wasmedge.sh
# shellcheck source=/dev/null
. target/wasmedge/env
export RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/wasmedge-rustc.sh
# The whole workspace and a test, as `make build` and `make test` have them: cargo chooses the features of outside
# crates by the selection of packages, and would compile those that differ, the engines too, once more.
cargo build --release --workspace --features shim/wasmedge --bin lighter-daemon-wasmedge --test wasmedge
ln -sfn containerd-shim-lighter-v1 "$(scripts/target-dir.sh)/containerd-shim-wasmedge-v1"
