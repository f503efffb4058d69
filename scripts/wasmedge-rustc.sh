#!/bin/sh
# cargo's RUSTC_WORKSPACE_WRAPPER where libwasmedge is linked: links programs dynamically.
#
#   scripts/wasmedge-rustc.sh RUSTC ARG...
#
# .cargo/config.toml makes every program static, and there is no static libwasmedge. cargo calls the wrapper for the
# workspace's own crates and keeps its results apart, so that outside crates, the engines among them, are compiled
# once for both builds. Programs get the arguments of LIGHTER_WASMEDGE_LINK (see scripts/wasmedge.sh) for their
# linker; everything else passes through unchanged: libraries, and build scripts and macros, which cargo compiles
# without a --target.
set -eu

# A crate is a program unless it has another crate type; so is a test without a harness, for which cargo passes none.
last='' program=yes target=''
for arg; do
    case $last$arg in
    --crate-typebin | --crate-type=bin) ;;
    --crate-type?* | --crate-type=*) program='' ;;
    --target | --target=*) target=yes ;;
    esac
    case $arg in
    --crate-type) last=$arg ;;
    *) last='' ;;
    esac
done
[ "$program$target" = yesyes ] || exec "$@"

# Replaced, not followed by its opposite: rustc takes +crt-static as set, wherever it stands.
for arg; do
    shift
    case $arg in
    *target-feature=*+crt-static*) arg=${arg%%+crt-static*}-crt-static${arg#*+crt-static} ;;
    esac
    set -- "$@" "$arg"
done
for word in $LIGHTER_WASMEDGE_LINK; do
    set -- "$@" -C "link-arg=$word"
done
exec "$@"
