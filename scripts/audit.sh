#!/usr/bin/env bash
# Applies deny.toml to the lock: licences, bans and sources with cargo-deny, built into target/tools once (minutes);
# known vulnerabilities where their database can be fetched, and a warning where it cannot.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
deny=$tools/bin/cargo-deny
[ "$("$deny" --version 2>/dev/null)" = "cargo-deny $version" ] ||
  cargo install --locked --root "$tools" --target-dir "$tools/build" --version "$version" cargo-deny
"$deny" check licenses bans sources
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if "$deny" fetch db 2>"$log"; then
  "$deny" check advisories
else
  echo "make audit: advisories were NOT checked: their database could not be fetched ($(grep . "$log" | tail -n 1))"
fi
