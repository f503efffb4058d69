#!/bin/sh
# Fetches the Dockers that the tests run on into DIR, each under the name of its Debian suite.
#
#   scripts/docker.sh [DIR]          (default: target/docker)
#
# They are Debian packages, unpacked and never installed, as in scripts/containerds.sh. What cannot be fetched is
# reported in one sentence and left out, and the tests skip it. Run again, it fetches only what is missing.
# Afterwards:
#   DIR/SUITE/bin        dockerd, docker, docker-proxy and docker-init, a static one
#   DIR/versions         one line each: SUITE, the output of `dockerd --version`, the packages
#   DIR/missing          one sentence for each one that could not be fetched
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-$here/target/docker}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# shellcheck source=scripts/debian.sh
. "$here/scripts/debian.sh"
touch "$dir/versions"
: >"$dir/missing"

missing() {
    echo "$1" | tee -a "$dir/missing"
}

# fetch SUITE: downloads and unpacks the suite's Docker; prints why when it cannot. The static init is a package of its
# own in suites whose tini does not contain it.
fetch() {
    state=$dir/apt/$1
    mkdir -p "$dir/apt"
    if ! { debian_suite "$state" "$1" && debian_unpack "$state" "$state/root" docker.io docker-cli tini &&
        { [ -e "$state/root/usr/bin/tini-static" ] || with_tini_static "$state"; }; } >"$dir/apt/$1.log" 2>&1; then
        grep "^[EW]:" "$dir/apt/$1.log" | head -n 1
        return 1
    fi
    "$state/root/usr/sbin/dockerd" --version >/dev/null && "$state/root/usr/bin/docker" --version >/dev/null
}

with_tini_static() {
    cp "$1/packages" "$1/packages.docker"
    debian_unpack "$1" "$1/root" tini-static && cat "$1/packages.docker" >>"$1/packages"
}

# from_debian SUITE: that suite's, unless an earlier run fetched it and it still runs.
from_debian() {
    if grep "^$1 " "$dir/versions" && "$dir/$1/bin/dockerd" --version >/dev/null 2>&1; then
        return
    fi
    if why=$(debian_missing) || ! why=$(fetch "$1" 2>&1); then
        missing "Docker of Debian $1 cannot be had: ${why:-it does not run here}"
        return
    fi
    rm -rf "${dir:?}/$1"
    mkdir -p "$dir/$1/bin"
    for program in sbin/dockerd sbin/docker-proxy bin/docker; do
        mv "$dir/apt/$1/root/usr/$program" "$dir/$1/bin"
    done
    mv "$dir/apt/$1/root/usr/bin/tini-static" "$dir/$1/bin/docker-init"
    said=$("$dir/$1/bin/dockerd" --version)
    sed -i "/^$1 /d" "$dir/versions"
    echo "$1 $said ($(tr '\n' ';' <"$dir/apt/$1/packages"))" | tee -a "$dir/versions"
}

from_debian trixie
from_debian sid
rm -rf "$dir/apt"
