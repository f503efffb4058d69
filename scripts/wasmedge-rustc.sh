#!/bin/sh
# cargo's RUSTC_WORKSPACE_WRAPPER where libwasmedge is linked: it makes programs dynamic ones.
#
#   scripts/wasmedge-rustc.sh RUSTC ARG...
#
# .cargo/config.toml makes every program static, and there is no static libwasmedge. cargo calls the wrapper
# for the workspace's own crates and keeps what comes of it apart, so that the crates from outside, the
# engines among them, are compiled once for both. What is linked into a program takes the words of
# LIGHTER_WASMEDGE_LINK (see scripts/wasmedge.sh) to its linker; all else passes through unchanged: libraries,
# and what runs on the building machine, build scripts and macros, which cargo compiles without a --target.
set -eu

# A crate is a program unless it says otherwise; so is a test without a harness, of which cargo says nothing.
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

# Replaced and not followed by its contrary: rustc takes +crt-static for said, wherever it is said.
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
