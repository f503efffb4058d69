#!/bin/sh
# Installs libwasmedge, in the version that the crate wasmedge-sdk binds, into DIR.
#
#   scripts/wasmedge.sh [DIR]             (default: target/wasmedge)
#
# The system's library is used where there is one (Debian 14: libwasmedge-dev). Elsewhere Debian packages are
# unpacked and never installed, with everything they depend on, libc and its loader included: they are made
# for a newer system than this one. Programs linked with it name that loader and that directory; no other
# program of the system sees them. The mirror is the one this system's apt uses; set DEBIAN_MIRROR where that
# one carries no Debian. Run again, it does nothing. Afterwards:
#   DIR/env              to be sourced: the paths of headers and library, and the linker's arguments
#   DIR/root             what was unpacked, and
#   DIR/packages         its versions; neither is there when the system's library is used
#   DIR/link             links to libwasmedge alone: cargo puts the library's directory on rustc's own path,
#                        and rustc must not find another libc there
set -eu

wanted=0.17
here=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-$here/target/wasmedge}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
apt=$dir/apt
lib=$dir/root/usr/lib/$(uname -m)-linux-gnu

fail() {
    echo "$0: $1" >&2
    exit 1
}

# version INCLUDE: the version in that directory's headers, if it is the wanted one.
version() {
    sed -n "s|^#define WASMEDGE_VERSION \"\($wanted\.[^\"]*\)\".*|\1|p" "$1/wasmedge/version.h" 2>/dev/null | grep .
}

# write WHAT INCLUDE LIB LINK: writes DIR/env, whose first line is WHAT.
write() {
    cat >"$dir/env.new" <<SH
# $1
export WASMEDGE_INCLUDE_DIR='$2'
export WASMEDGE_LIB_DIR='$3'
export LIGHTER_WASMEDGE_LINK='$4'
SH
    mv "$dir/env.new" "$dir/env"
}

# is_here: whether an earlier run was completed, and its result is still there.
is_here() (
    [ -e "$dir/env" ] || exit 1
    # shellcheck source=/dev/null
    . "$dir/env"
    [ -e "$WASMEDGE_LIB_DIR/libwasmedge.so" ] && version "$WASMEDGE_INCLUDE_DIR" >/dev/null
)

# from_system: uses the system's, if its headers and library are where the compiler looks.
from_system() {
    found=$(version /usr/include) || return 1
    library=$(cc -print-file-name=libwasmedge.so)
    # Without a result cc prints the name alone.
    [ "$library" != libwasmedge.so ] || return 1
    rm -rf "$dir/root" "$dir/link" "$dir/packages"
    write "libwasmedge $found of the system" /usr/include "$(cd "$(dirname "$library")" && pwd -P)" ""
}

# fetch SUITE: unpacks the suite's; prints why when it cannot.
fetch() {
    if ! debian_suite "$apt" "$1" >"$apt.log" 2>&1; then
        grep "^[EW]:" "$apt.log" | head -n 1
        return 1
    fi
    has=$(debian_apt "$apt" apt-cache show --no-all-versions libwasmedge-dev 2>/dev/null | sed -n 's|^Version: ||p')
    case $has in
    "$wanted".*) ;;
    ?*) echo "has $has" && return 1 ;;
    *) (grep "^[EW]:" "$apt.log" || echo "has none") | head -n 1 && return 1 ;;
    esac
    rm -rf "$dir/root"
    # shellcheck disable=SC2046  # a list of package names
    if ! debian_unpack "$apt" "$dir/root" $(debian_closure "$apt" libwasmedge-dev) >"$apt.log" 2>&1; then
        grep "^[EW]:" "$apt.log" | head -n 1
        return 1
    fi
    mv "$apt/packages" "$dir/packages"
}

# arrange SUITE: prepares what was unpacked, so that it can be linked and run in place.
arrange() {
    for library in "$lib"/libLLVM*.so*; do
        # Its own rpath would be searched instead of the program's.
        [ -L "$library" ] || patchelf --remove-rpath "$library"
    done
    rm -rf "$dir/link"
    mkdir "$dir/link"
    ln -s "$lib"/libwasmedge.so* "$dir/link/"
    loader=$(echo "$lib"/ld-linux*.so.*)
    if ! needs=$("$loader" --library-path "$lib" --list "$lib/libwasmedge.so") || echo "$needs" | grep -q "not found"; then
        fail "libwasmedge of Debian $1 does not load here: $(echo "$needs" | grep "not found" | head -n 1)"
    fi
    write "libwasmedge $(version "$dir/root/usr/include") of Debian $1, unpacked" "$dir/root/usr/include" "$dir/link" \
        "-Wl,--allow-shlib-undefined -Wl,--disable-new-dtags -Wl,-rpath,$lib -Wl,--dynamic-linker=$loader"
}

# from_debian SUITE...: takes it from the first suite that has it.
from_debian() {
    # shellcheck source=scripts/debian.sh
    . "$here/scripts/debian.sh"
    ! why=$(debian_missing) || fail "the system has no libwasmedge-dev $wanted, and $why"
    command -v patchelf >/dev/null || fail "patchelf is missing: apt-get install patchelf"
    tried=
    for suite in "$@"; do
        if why=$(fetch "$suite"); then
            arrange "$suite"
            return
        fi
        tried="$tried; $suite: ${why:-what it has cannot be unpacked}"
    done
    fail "the system has no libwasmedge-dev $wanted, nor has Debian at $debian_mirror$tried; \
set DEBIAN_MIRROR to a snapshot of Debian that has it"
}

case $dir in
*[[:space:],\']*) fail "$dir: a linker's argument cannot hold this path; choose another directory" ;;
esac
if ! is_here; then
    trap 'rm -rf "$apt" "$apt.log"' EXIT
    rm -f "$dir/env"
    from_system || from_debian sid forky
fi
sed -n '1s|^# ||p' "$dir/env"
