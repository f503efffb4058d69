#!/bin/sh
# cargo's RUSTC_WORKSPACE_WRAPPER for `make fuzz`: what is the workspace's own tells libFuzzer which edges it took, and
# checks its assertions and its arithmetic. The crates from outside stay as they were compiled for everything else: to
# have the engine compiled once more costs minutes. What runs on the building machine, which cargo compiles without a
# --target, passes through.
#
#   scripts/fuzz-rustc.sh RUSTC ARG...
set -eu
case " $* " in
*" --target "*) ;;
*) exec "$@" ;;
esac
# libFuzzer asks for functions that may not be there, which a static program answers wrongly: it crashes before main.
for arg; do
  shift
  case $arg in
  *target-feature=*+crt-static*) arg=${arg%%+crt-static*}-crt-static${arg#*+crt-static} ;;
  esac
  set -- "$@" "$arg"
done
exec "$@" -C debug-assertions=on -C overflow-checks=on -C codegen-units=1 -C passes=sancov-module \
  -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
  -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares
