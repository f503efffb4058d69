#!/bin/sh
# Rebuilds the committed .wasm files of test/guests, all or the named ones; guest-policies.sh rebuilds those of
# test/guests/opa.
#
#   scripts/guest-toolchain.sh DIR           once
#   GUEST_TOOLCHAIN=DIR scripts/guests.sh [NAME...]
#
# DIR defaults to .cache/guest-toolchain. The guests of WASI preview 1 are built for wasm32-wasip1, the
# others for wasm32-wasip2, whose linker turns the module into a component. Paths of this machine are
# remapped, so that the result does not contain them.
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
tools=$(cd "${GUEST_TOOLCHAIN:-$repo/.cache/guest-toolchain}" && pwd) ||
    { echo "$0: run scripts/guest-toolchain.sh first" >&2; exit 1; }
remap="--remap-path-prefix=$repo/test/guests=guests"
# A directory for each registry that crates came from, guest-toolchain.sh's among them.
for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    remap="$remap --remap-path-prefix=$sources=crates"
done

export RUSTC="$tools/rustc"
export CARGO_TARGET_DIR="${GUEST_TARGET_DIR:-$tools/target}"
export CARGO_TARGET_WASM32_WASIP1_LINKER="$tools/rust-lld"
# The crates with WasmEdge's sockets are forks of tokio and related crates, and require the flag.
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$remap --cfg tokio_unstable"
export CARGO_TARGET_WASM32_WASIP2_LINKER="$tools/bin/wasm-component-ld"
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="$remap -Clink-arg=--wasm-ld-path=$tools/bin/wasm-ld"

cd "$repo/test/guests"
[ $# -gt 0 ] || set -- */
for name; do
    name=${name%/}
    [ "$name" = opa ] && continue
    case $name in
    *-p1 | socket-* | listener-std | poll-torture) target=wasm32-wasip1 ;;
    *) target=wasm32-wasip2 ;;
    esac
    locked=--locked
    [ -e "$name/Cargo.lock" ] || locked=
    (cd "$name" && cargo build --release --quiet $locked --target "$target")
    built=$CARGO_TARGET_DIR/$target/release/$name.wasm
    [ -e "$built" ] || built=$CARGO_TARGET_DIR/$target/release/$(echo "$name" | tr - _).wasm
    # Without cargo's permissions: the file is data.
    install -m 644 "$built" "$name/$name.wasm"
    echo "$name.wasm $(wc -c <"$name/$name.wasm")"
done
