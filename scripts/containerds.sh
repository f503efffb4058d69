#!/bin/sh
# Fetches the containerds that the tests run on into DIR, each under its own major.minor.
#
#   scripts/containerds.sh [DIR]          (default: target/containerds)
#
# One is the system's; the others are Debian packages, unpacked and never installed: apt works on a state of its own
# under DIR. The mirror is the one this system's apt uses; set DEBIAN_MIRROR where that one carries no Debian. Any other
# version in DIR is tested, too: put the programs of a build of your own into DIR/MAJOR.MINOR/bin, which this script
# never touches. What cannot be fetched is reported in one sentence and left out, and the tests skip it. Run again, it
# fetches only what is missing. Afterwards:
#   DIR/VERSION/bin      containerd, ctr and the shims that came with them
#   DIR/versions         one line per directory: VERSION, its origin (`system`, a Debian suite, or `built`), the output
#                        of `containerd --version`
#   DIR/missing          one sentence for each one that could not be fetched
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-$here/target/containerds}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# shellcheck source=scripts/debian.sh
. "$here/scripts/debian.sh"
touch "$dir/versions"
: >"$dir/missing"

missing() {
    echo "$1" | tee -a "$dir/missing"
}

# is_here ORIGIN: whether an earlier run fetched it and it still runs.
is_here() {
    version=$(sed -n "s|^\([^ ]*\) $1 .*|\1|p" "$dir/versions" | head -n 1)
    [ -n "$version" ] && "$dir/$version/bin/containerd" --version >/dev/null 2>&1 && says "$1"
}

# says ORIGIN: prints the recorded line.
says() {
    grep "^[^ ]* $1 " "$dir/versions"
}

# number SAID: the major.minor in the output of `containerd --version`.
number() {
    echo "$1" | awk '{ sub("^v", "", $3); split($3, part, "."); print part[1] "." part[2] }'
}

# keep ORIGIN BIN: stores the containerd in directory BIN under its version, and records it.
# Fails when the same major.minor is here already from another origin.
keep() {
    said=$("$2/containerd" --version)
    version=$(number "$said")
    if [ -e "$dir/$version" ] && ! grep -q "^$version $1 " "$dir/versions"; then
        return 1
    fi
    rm -rf "${dir:?}/$version"
    mkdir "$dir/$version"
    case $2 in
    "$dir"/*) mv "${2%/usr/bin}/usr" "$dir/$version/usr" && ln -s usr/bin "$dir/$version/bin" ;;
    *)
        mkdir "$dir/$version/bin"
        for name in containerd ctr containerd-shim-runc-v2; do
            ln -s "$2/$name" "$dir/$version/bin/$name"
        done
        ;;
    esac
    sed -i "\|^[^ ]* $1 |d" "$dir/versions"
    echo "$version $1 $said" >>"$dir/versions"
    says "$1"
}

# fetch SUITE: downloads and unpacks the suite's containerd; prints why when it cannot.
fetch() {
    mkdir -p "$dir/apt"
    if ! { debian_suite "$dir/apt/$1" "$1" && debian_unpack "$dir/apt/$1" "$dir/apt/$1/root" containerd; } \
        >"$dir/apt/$1.log" 2>&1; then
        grep "^[EW]:" "$dir/apt/$1.log" | head -n 1
        return 1
    fi
    "$dir/apt/$1/root/usr/bin/containerd" --version >/dev/null
}

# from_debian SUITE...: the first suite whose version is not in this directory yet.
from_debian() {
    for suite in "$@"; do
        is_here "$suite" && return
    done
    if why=$(debian_missing); then
        missing "containerd of Debian $1: $why"
        return
    fi
    reasons=
    for suite in "$@"; do
        if why=$(fetch "$suite" 2>&1); then
            keep "$suite" "$dir/apt/$suite/root/usr/bin" && return
            why="the same version is here already"
        fi
        reasons="$reasons; $suite: ${why:-does not run here}"
    done
    missing "containerd of Debian $1 cannot be had${reasons}"
}

# list: writes DIR/versions anew from the contents of DIR. An unrecorded directory is a user's own build.
list() {
    : >"$dir/versions.new"
    for bin in "$dir"/[0-9]*.[0-9]*/bin; do
        [ -d "$bin" ] || continue
        version=$(basename "${bin%/bin}")
        origin=$(sed -n "s|^$version \([^ ]*\) .*|\1|p" "$dir/versions" | head -n 1)
        if ! said=$("$bin/containerd" --version 2>/dev/null) || ! [ -x "$bin/ctr" ]; then
            missing "containerd $version: $bin holds no containerd and ctr that run here"
        elif [ "$(number "$said")" != "$version" ]; then
            missing "containerd $version: $bin holds another one, $said"
        else
            echo "$version ${origin:-built} $said" >>"$dir/versions.new"
        fi
    done
    mv "$dir/versions.new" "$dir/versions"
}

if ! is_here system; then
    if bin=$(command -v containerd) && command -v ctr >/dev/null; then
        keep system "$(dirname "$bin")" || missing "the system's containerd: the same version is here already"
    else
        missing "the system has no containerd: apt-get install containerd runc"
    fi
fi
from_debian trixie
from_debian sid forky
rm -rf "$dir/apt"
list
