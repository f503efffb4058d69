#!/bin/sh
# Unpacks a Rust toolchain with Wasm targets into DIR: Debian sid's rustc and its Wasm libstd.
#
#   scripts/guest-toolchain.sh DIR
#
# Only needed to rebuild test/guests; building and testing the project never runs it. Nothing is
# installed: apt works on a state of its own under DIR, and the packages are unpacked there. The
# mirror is the one this system's apt uses; set DEBIAN_MIRROR where that one carries no Debian.
# Needs rustup's (or any) rustc on the PATH for its rust-lld. Afterwards:
#   DIR/rustc            the compiler, to be given as RUSTC
#   DIR/rust-lld         the linker for wasm32-wasip1 and wasm32-unknown-unknown
#   DIR/bin              the linker for wasm32-wasip2, wasm-component-ld, and the wasm-ld it calls
#   DIR/packages         the versions that were unpacked
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
root=$dir/root
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
triple=x86_64-linux-gnu

mirror=${DEBIAN_MIRROR:-$(apt-get --print-uris update 2>/dev/null |
    sed -n "s|^'\(.*/debian\)/dists/.*|\1|p" | head -n 1)}
[ -n "$mirror" ] || { echo "$0: apt's sources name no Debian mirror: set DEBIAN_MIRROR" >&2; exit 1; }
[ -e "$keyring" ] || { echo "$0: $keyring is missing: install debian-archive-keyring" >&2; exit 1; }

# A private apt: its own sources, lists, cache and an empty list of installed packages.
rm -rf "$dir/debs"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/debs"
echo "deb [signed-by=$keyring] $mirror sid main" >"$dir/apt/sources.list"
: >"$dir/apt/status"
private() {
    command=$1
    shift
    "$command" -o Dir::Etc::SourceList="$dir/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::PreferencesParts=/dev/null -o Dir::State="$dir/apt" \
        -o Dir::State::Lists="$dir/apt/lists" -o Dir::State::status="$dir/apt/status" \
        -o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o APT::Architecture=amd64 -o APT::Architectures::=amd64 "$@"
}
private apt-get -qq update

# The shared library of rustc pulls in LLVM and every library below it, the loader included.
libstd=$(private apt-cache depends libstd-rust-dev | sed -n 's|^ *Depends: \(libstd-rust-[0-9.]*\)$|\1|p')
[ -n "$libstd" ] || { echo "$0: sid's libstd-rust-dev names no libstd-rust-VERSION" >&2; exit 1; }
libraries=$(private apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
    --no-breaks --no-replaces --no-enhances "$libstd" | grep '^[a-z]' | grep -v ':i386$')
# shellcheck disable=SC2086  # a list of package names
(cd "$dir/debs" && private apt-get -qq download rustc libstd-rust-dev libstd-rust-dev-wasm32 $libraries)

rm -rf "$root"
mkdir "$root"
: >"$dir/packages"
for deb in "$dir"/debs/*.deb; do
    dpkg-deb -x "$deb" "$root"
    # shellcheck disable=SC2016  # dpkg-deb's own placeholders
    dpkg-deb --show --showformat='${Package} ${Version}\n' "$deb" >>"$dir/packages"
done

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

# lld acts by the name it is called by; wasm-component-ld calls it, then makes a component.
mkdir -p "$dir/bin"
ln -sfn "$lld" "$dir/bin/wasm-ld"
CARGO_TARGET_DIR=$dir/target cargo install --quiet --locked --root "$dir" wasm-component-ld@0.5.31
"$dir/rustc" --version
