#!/bin/sh
# cargo's RUSTC_WORKSPACE_WRAPPER for `make fuzz`: the workspace's own crates report their edges to libFuzzer, and check
# assertions and arithmetic. Outside crates stay as they were compiled for everything else: compiling the engine once
# more costs minutes. Build scripts and macros, which cargo compiles without a --target, pass through.
#
#   scripts/fuzz-rustc.sh RUSTC ARG...
set -eu
case " $* " in
*" --target "*) ;;
*) exec "$@" ;;
esac
# libFuzzer probes for optional weak functions, which a static program resolves wrongly: it crashes before main.
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
