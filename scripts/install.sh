#!/usr/bin/env bash
# install.sh BUILT FOLDER: puts the shim where containerd looks for it, the daemon's program beside it, and a
# link by which users of runwasi's wasmtime shim find it too, unless they have that one.
set -euo pipefail
built=$1 folder=$2
for binary in lighter-daemon containerd-shim-lighter-v1; do
  if [ ! -x "$built/$binary" ]; then
    echo "install: there is no $built/$binary; run make build first, as yourself" >&2
    exit 1
  fi
done
# The shim last: whoever finds it finds what it needs.
for binary in lighter-daemon containerd-shim-lighter-v1; do
  install -D -m 0755 "$built/$binary" "$folder/$binary"
  echo "installed $folder/$binary"
done
peer="$folder/containerd-shim-wasmtime-v1"
if [ -e "$peer" ] && [ "$(readlink "$peer")" != containerd-shim-lighter-v1 ]; then
  echo "left $peer as it is"
else
  ln -sfn containerd-shim-lighter-v1 "$peer"
  echo "linked $peer to it"
fi
