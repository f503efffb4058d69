#!/usr/bin/env bash
# Every test of every ring: pure, an engine alone, the box, and real containerds. The last two are
# root's; the binaries are built before, Dapr's SDKs brought and the examples built, as whoever calls this.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/dapr-sdks.sh
scripts/examples.sh
root=(); [ "$(id -u)" = 0 ] || root=(sudo -E env "PATH=$PATH")
"${root[@]}" cargo test --release --workspace --lib --bins --tests
