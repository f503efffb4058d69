#!/usr/bin/env bash
# Installs Dapr's SDKs for Python and JavaScript into DIR, in the versions pinned in test/daprd/sdk: the tests run them
# against the stand-in for Dapr's sidecar.
#
#   scripts/dapr-sdks.sh [DIR]            (default: target/dapr-sdks)
#
# Needs python3 with venv, node and npm. Run again, it does nothing unless the pins have changed. Afterwards:
#   DIR/python           a virtual environment with `dapr`
#   DIR/node_modules     `@dapr/dapr` and its dependencies
#   DIR/pinned           a hash of the pins; only there when the installation is complete
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-$(dirname "$(dirname "$(scripts/target-dir.sh)")")/dapr-sdks}
pins=$PWD/test/daprd/sdk
pinned=$(cat "$pins/requirements.txt" "$pins/package-lock.json" | sha256sum)
[ "$(cat "$dir/pinned" 2>/dev/null)" != "$pinned" ] || exit 0
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
rm -f "$dir/pinned"

# try SENTENCE COMMAND ARG...: runs the command; on failure prints the end of its output and the sentence.
try() {
  if ! "${@:2}" >"$dir/log" 2>&1 </dev/null; then
    tail -n 5 "$dir/log" >&2
    echo "scripts/dapr-sdks.sh: $1" >&2
    exit 1
  fi
}

echo "installing Dapr's SDKs"
try "python3 makes no virtual environment: apt-get install python3-venv" python3 -m venv --clear "$dir/python"
try "PyPI does not have $(grep '^dapr=' "$pins/requirements.txt"); the tests of the Dapr sidecar need it" \
  "$dir/python/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$pins/requirements.txt"
cp "$pins/package.json" "$pins/package-lock.json" "$dir/"
try "the npm registry does not have @dapr/dapr; the tests of the Dapr sidecar need it" \
  npm ci --prefix "$dir" --ignore-scripts --no-audit --no-fund
rm "$dir/log"
echo "$pinned" >"$dir/pinned"
