#!/usr/bin/env bash
# The tests of the engine WasmEdge: alone in a process, as whoever calls this, and then, as root, the end-to-end
# tests on its runtime. What they run is built before (make wasmedge).
#
#   scripts/test-wasmedge.sh [WORD...]    those end-to-end tests that the words choose: see test/e2e
set -euo pipefail
cd "$(dirname "$0")/.."
(
  # shellcheck source=/dev/null
  . target/wasmedge/env
  export RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/wasmedge-rustc.sh
  cargo test --release --workspace --features shim/wasmedge --test wasmedge
)
root=(); [ "$(id -u)" = 0 ] || root=(sudo -E env "PATH=$PATH")
"${root[@]}" env LIGHTER_E2E_RUNTIME=io.containerd.wasmedge.v1 cargo test --release --workspace --test e2e -- "$@"
