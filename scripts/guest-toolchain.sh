#!/bin/sh
# Unpacks a Rust toolchain with Wasm targets into DIR: Debian sid's rustc and its Wasm libstd.
#
#   scripts/guest-toolchain.sh DIR
#
# Only needed to rebuild test/guests; building and testing the project never runs it. Nothing is
# installed: apt works on a state of its own under DIR, and the packages are unpacked there. The
# mirror is the one this system's apt uses; set DEBIAN_MIRROR where that one carries no Debian.
# Needs a rustc on the PATH (rustup's or any) for its rust-lld. Afterwards:
#   DIR/rustc            the compiler, to be given as RUSTC
#   DIR/rust-lld         the linker for wasm32-wasip1 and wasm32-unknown-unknown
#   DIR/bin              the linker for wasm32-wasip2, wasm-component-ld, and the wasm-ld it calls
#   DIR/packages         the versions that were unpacked
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
root=$dir/root
triple=x86_64-linux-gnu
apt=$dir/apt
# shellcheck source=scripts/debian.sh
. "$(dirname "$0")/debian.sh"
debian_architecture=amd64
if why=$(debian_missing); then
    echo "$0: $why" >&2
    exit 1
fi
debian_suite "$apt" sid

# rustc's shared library depends on LLVM and every library below it, the loader included.
libstd=$(debian_apt "$apt" apt-cache depends libstd-rust-dev | sed -n 's|^ *Depends: \(libstd-rust-[0-9.]*\)$|\1|p')
[ -n "$libstd" ] || { echo "$0: sid's libstd-rust-dev names no libstd-rust-VERSION" >&2; exit 1; }
libraries=$(debian_closure "$apt" "$libstd")
rm -rf "$root"
# shellcheck disable=SC2086  # a list of package names
debian_unpack "$apt" "$root" rustc libstd-rust-dev libstd-rust-dev-wasm32 $libraries
mv "$apt/packages" "$dir/packages"

loader=$root/usr/lib/$triple/ld-linux-x86-64.so.2
cat >"$dir/rustc" <<SH
#!/bin/sh
exec "$loader" --library-path "$root/usr/lib/$triple" --argv0 "$root/usr/bin/rustc" \\
    "$root/usr/bin/rustc" --sysroot "$root/usr" "\$@"
SH
chmod +x "$dir/rustc"
lld=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld
[ -x "$lld" ] || { echo "$0: $lld is missing: rustup's toolchain brings it" >&2; exit 1; }
ln -sfn "$lld" "$dir/rust-lld"

# lld chooses its flavour by the name it is called by; wasm-component-ld calls it, then makes a component.
mkdir -p "$dir/bin"
ln -sfn "$lld" "$dir/bin/wasm-ld"
CARGO_TARGET_DIR=$dir/target cargo install --quiet --locked --root "$dir" wasm-component-ld@0.5.31
"$dir/rustc" --version
