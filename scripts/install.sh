#!/usr/bin/env bash
# install.sh BUILT DIR: installs the shim where containerd looks for it, the daemon's program beside it, and a link
# with the name of runwasi's wasmtime shim, unless runwasi's is there. Where the daemon with WasmEdge was built, also
# that daemon and a link with the name of runwasi's wasmedge shim.
set -euo pipefail
built=$1 dir=$2
for binary in lighter-daemon containerd-shim-lighter-v1; do
  if [ ! -x "$built/$binary" ]; then
    echo "install: there is no $built/$binary; run make build first, as yourself" >&2
    exit 1
  fi
done
daemons=(lighter-daemon) peers=(wasmtime)
if [ -x "$built/lighter-daemon-wasmedge" ]; then daemons+=(lighter-daemon-wasmedge) peers+=(wasmedge); fi
# The shim last: once it is there, so is what it needs.
for binary in "${daemons[@]}" containerd-shim-lighter-v1; do
  install -D -m 0755 "$built/$binary" "$dir/$binary"
  echo "installed $dir/$binary"
done
for peer in "${peers[@]}"; do
  peer="$dir/containerd-shim-$peer-v1"
  if [ -e "$peer" ] && [ "$(readlink "$peer")" != containerd-shim-lighter-v1 ]; then
    echo "left $peer as it is"
  else
    ln -sfn containerd-shim-lighter-v1 "$peer"
    echo "linked $peer to it"
  fi
done
# A daemon linked with an unpacked library has its loader there too.
[ -x "$built/lighter-daemon-wasmedge" ] || exit 0
loader=$(LC_ALL=C readelf -l "$built/lighter-daemon-wasmedge" 2>/dev/null |
  sed -n 's|.*program interpreter: \(.*\)\]$|\1|p') || true
case $loader in
/lib* | "") ;;
*) echo "lighter-daemon-wasmedge runs with the libraries in ${loader%/*}: keep that directory" ;;
esac
