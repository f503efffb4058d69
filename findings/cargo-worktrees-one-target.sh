#!/usr/bin/env bash
# Fact: two checkouts of one workspace that share a target directory share the files of their own crates, too: cargo names
#   these by the package's path relative to the workspace, which is the same in both. Where the second checkout's sources
#   are older than what the first has built, its build is "fresh", and it links, tests and runs the first one's code.
#   Packages by an absolute path from outside the workspace are told apart.
# Version: the cargo that is there; 1.95.0 when this was written.
# Source: run here. Cargo's book says only that a shared target directory saves space, and that builds wait for each other.
# Date: 2026-11-28
# Why it matters here: worktrees are how a change is tried beside another, and compiling the engine once for both is
#   tempting; a test that is green there may be the other tree's. test/README.md says so.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset CARGO_TARGET_DIR
for tree in older newer; do
  mkdir -p "$dir/$tree/member/src"
  printf '[workspace]\nmembers = ["member"]\nresolver = "3"\n' >"$dir/$tree/Cargo.toml"
  printf '[package]\nname = "member"\nversion = "0.1.0"\nedition = "2024"\n' >"$dir/$tree/member/Cargo.toml"
  printf 'fn main() { println!("%s"); }\n' "$tree" >"$dir/$tree/member/src/main.rs"
done
find "$dir/older" -exec touch --date='1 hour ago' {} +
run() { (cd "$dir/$1" && CARGO_TARGET_DIR=$dir/target cargo run --quiet --offline); }
cargo --version
first=$(run newer)
second=$(run older)
echo "run in the newer tree: $first"
echo "run in the older tree: $second"
[ "$first $second" = "newer newer" ] || { echo "cargo tells the trees apart now" >&2; exit 1; }
echo "behaviour: the older tree runs the newer one's program"
