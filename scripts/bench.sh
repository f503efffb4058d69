#!/usr/bin/env bash
# Prints one table of ratios from one run. PEER_SHIM=path adds another shim, RUNS=n changes the number of runs.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/provision.sh bench
scripts/examples.sh javascript
root=(); [ "$(id -u)" = 0 ] || root=(sudo -E env "PATH=$PATH")
"${root[@]}" cargo bench --workspace --bench bench
