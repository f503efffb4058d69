#!/usr/bin/env bash
# Fact: componentize-js imports @bytecodealliance/preview2-shim when it runs and declares it as a dependency of its
#   development only. A plain `npm install` puts some version of it at the top all the same, and componentizing works; the
#   lock file which that install writes calls it extraneous, and `npm ci` by it leaves it out: then the first import fails.
# Version: @bytecodealliance/componentize-js 0.23.0, @bytecodealliance/jco 1.35.0, npm and node as printed.
# Source: run here. Neither the package's page nor its package.json says that the shim is needed beside it.
# Date: 2026-11-28
# Why it matters here: test/examples/javascript is installed by `npm ci` from a committed lock, as CI does; its package.json
#   must name the shim itself. Whoever copies only `npm install @bytecodealliance/componentize-js` has a project that
#   builds on his machine and nowhere else.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo "node $(node --version), npm $(npm --version)"
echo '{ "private": true, "dependencies": { "@bytecodealliance/componentize-js": "0.23.0", "@bytecodealliance/jco": "1.35.0" } }' >package.json

# imports: whether the tool starts.
imports() {
  if npx componentize-js --version >/dev/null 2>log; then echo "$1: it starts"; else
    echo "$1: $(sed -n 's/^Error \[ERR_MODULE_NOT_FOUND\]: //p' log | sed "s|$dir/||")"
    return 1
  fi
}

npm install --ignore-scripts --no-audit --no-fund >/dev/null 2>&1
imports "npm install" || { echo "npm install leaves it out as well now" >&2; exit 1; }
sed -n '/"node_modules\/@bytecodealliance\/preview2-shim": {/,/}/p' package-lock.json | grep -E '"version"|"extraneous"' || true
npm ci --ignore-scripts --no-audit --no-fund >/dev/null 2>&1
if imports "npm ci by the lock of that"; then
  echo "componentize-js does otherwise now" >&2
  exit 1
fi
echo "behaviour: the lock that npm install writes does not bring what componentize-js imports"
