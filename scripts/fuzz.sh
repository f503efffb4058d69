#!/usr/bin/env bash
# Fuzzes each target of test/fuzz, or the named ones, for FUZZ_SECONDS (60), one at a time. Needs root: an input runs
# with an empty root and in a network namespace of its own.
#
#   scripts/fuzz.sh [TARGET...]     writes new inputs to target/fuzz/TARGET, crashes to target/fuzz/crashes
#   scripts/fuzz.sh --keep          copies the smallest set of them with the same coverage into test/fuzz/corpus
set -euo pipefail
cd "$(dirname "$0")/.."
keep=''
[ "${1:-}" != --keep ] || { keep=yes; shift; }
scripts/provision.sh fuzz
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/fuzz-rustc.sh \
  cargo build --release --workspace --features fuzz/libfuzzer --bin fuzz
program=$(scripts/target-dir.sh)/fuzz
root=(); [ "$(id -u)" = 0 ] || root=(sudo -E env "PATH=$PATH")
found=$PWD/target/fuzz
mkdir -p "$found/crashes" "$found/tmp"
trap '"${root[@]}" rm -rf "$found/tmp"' EXIT
export TMPDIR=$found/tmp
[ $# -gt 0 ] || set -- test/fuzz/corpus/*
for target; do
  target=${target##*/}
  corpus=$PWD/test/fuzz/corpus/$target
  mkdir -p "$found/$target"
  export FUZZ_TARGET=$target
  if [ -n "$keep" ]; then
    rm -rf "$found/$target.least"; mkdir "$found/$target.least"
    "${root[@]}" "$program" -set_cover_merge=1 -close_fd_mask=3 -max_len=4096 "$found/$target.least" "$corpus" "$found/$target"
    # Inputs with a name of their own stay. Of more inputs than a test has time for, some of each length are kept.
    find "$corpus" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    find "$found/$target.least" -type f -size -5k -printf '%s %p\n' | sort -n |
      awk '{ all[NR] = $2 } END { n = NR < 200 ? NR : 200; for (i = 0; i < n; i++) print all[int(i * NR / n) + 1] }' |
      xargs -r cp -t "$corpus"
    continue
  fi
  echo "fuzz: $target, ${FUZZ_SECONDS:-60} s"
  "${root[@]}" "$program" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
    -close_fd_mask=3 -print_final_stats=1 -artifact_prefix="$found/crashes/$target-" "$found/$target" "$corpus" \
    2>"$found/$target.log" || { tail -n 40 "$found/$target.log"; exit 1; }
  grep -E "^stat::(number_of_executed|average_exec|new_units)|^#.*DONE" "$found/$target.log"
done
