#!/usr/bin/env bash
# Runs a Wasm image through a private containerd and shows what it prints.
set -euo pipefail
cd "$(dirname "$0")/.."
root=(); [ "$(id -u)" = 0 ] || root=(sudo -E env "PATH=$PATH")
"${root[@]}" "$(scripts/target-dir.sh)/demo"
