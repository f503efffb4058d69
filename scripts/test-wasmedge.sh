#!/usr/bin/env bash
# The tests of the engine WasmEdge: the conformance cases, on it alone, and then the end-to-end tests on its runtime.
# Both need root; what they run is built before, as the calling user (make wasmedge).
#
#   scripts/test-wasmedge.sh              the end-to-end tests of guests on the newest containerd, and on each version
#                                         those that start, stop, exec and survive: the rest is the default daemon's code
#   scripts/test-wasmedge.sh [WORD...]    those end-to-end tests that the words select: see test/e2e
set -euo pipefail
cd "$(dirname "$0")/.."
root=(); [ "$(id -u)" = 0 ] || root=(sudo -E env "PATH=$PATH")
# shellcheck source=/dev/null
. target/wasmedge/env
(
  export RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/wasmedge-rustc.sh
  "${root[@]}" cargo test --release --workspace --features shim/wasmedge --test wasmedge
)
e2e() { "${root[@]}" env LIGHTER_E2E_RUNTIME=io.containerd.wasmedge.v1 cargo test --release --workspace --test e2e -- "$@"; }
if [ $# -gt 0 ]; then
  e2e "$@"
else
  e2e newest '!native-' '!survives-'
  e2e exit-3 wasm-exec wasm-sigkill wasm-events wasm-oom wasm-rpc wasm-shim-killed wasm-containerd cri-wasm
fi
