#!/usr/bin/env bash
# install.sh BUILT FOLDER: puts the shim where containerd looks for it, the daemon's program beside it, and a
# link by which users of runwasi's wasmtime shim find it too, unless they have that one. Where the daemon
# with WasmEdge was built, likewise that and the link for its shim's users.
set -euo pipefail
built=$1 folder=$2
for binary in lighter-daemon containerd-shim-lighter-v1; do
  if [ ! -x "$built/$binary" ]; then
    echo "install: there is no $built/$binary; run make build first, as yourself" >&2
    exit 1
  fi
done
daemons=(lighter-daemon) peers=(wasmtime)
if [ -x "$built/lighter-daemon-wasmedge" ]; then daemons+=(lighter-daemon-wasmedge) peers+=(wasmedge); fi
# The shim last: whoever finds it finds what it needs.
for binary in "${daemons[@]}" containerd-shim-lighter-v1; do
  install -D -m 0755 "$built/$binary" "$folder/$binary"
  echo "installed $folder/$binary"
done
for peer in "${peers[@]}"; do
  peer="$folder/containerd-shim-$peer-v1"
  if [ -e "$peer" ] && [ "$(readlink "$peer")" != containerd-shim-lighter-v1 ]; then
    echo "left $peer as it is"
  else
    ln -sfn containerd-shim-lighter-v1 "$peer"
    echo "linked $peer to it"
  fi
done
# Linked with an unpacked library, it has its loader there too.
[ -x "$built/lighter-daemon-wasmedge" ] || exit 0
loader=$(LC_ALL=C readelf -l "$built/lighter-daemon-wasmedge" 2>/dev/null |
  sed -n 's|.*program interpreter: \(.*\)\]$|\1|p') || true
case $loader in
/lib* | "") ;;
*) echo "lighter-daemon-wasmedge runs with the libraries in ${loader%/*}: keep that folder" ;;
esac
