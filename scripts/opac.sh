#!/bin/sh
# Builds DIR/opac, which compiles policies and answers queries as Open Policy Agent does: test/guests/opa/opac.
#
#   scripts/opac.sh DIR
#
# Only needed to rebuild test/guests/opa; building and testing the project never runs it. Open Policy Agent,
# its libraries and Go are Debian sid's. Nothing is installed: apt works on a state of its own under DIR, and
# the packages are unpacked there; they take 2.4 GB, the build's cache another 0.3. The mirror is the one this
# system's apt uses; set DEBIAN_MIRROR where that one carries no Debian. Afterwards:
#   DIR/opac             the program
#   DIR/packages         the versions that were unpacked
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
repo=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
root=$dir/root
apt=$dir/apt
# shellcheck source=scripts/debian.sh
. "$repo/scripts/debian.sh"
debian_architecture=amd64
if why=$(debian_missing); then
    echo "$0: $why" >&2
    exit 1
fi
debian_suite "$apt" sid

go=$(debian_apt "$apt" apt-cache depends golang-go | sed -n 's|^ *Depends: \(golang-[0-9.]*\)-go$|\1|p')
[ -n "$go" ] || { echo "$0: sid's golang-go names no golang-VERSION-go" >&2; exit 1; }
# OPA's Go libraries, without the C dependencies of those.
libraries=$(debian_closure "$apt" golang-github-open-policy-agent-opa-dev | grep '^golang-.*-dev$')
rm -rf "$root"
# shellcheck disable=SC2086  # a list of package names
debian_unpack "$apt" "$root" "$go-go" "$go-src" $libraries
mv "$apt/packages" "$dir/packages"

# Debian's libraries form a GOPATH, without modules.
export GOROOT="$root/usr/lib/go-${go#golang-}" GOPATH="$root/usr/share/gocode" GOCACHE="$dir/cache"
export GO111MODULE=off GOTOOLCHAIN=local CGO_ENABLED=0
(cd "$repo/test/guests/opa/opac" && "$GOROOT/bin/go" build -trimpath -o "$dir/opac" .)
grep '^golang-github-open-policy-agent-opa-dev ' "$dir/packages"
