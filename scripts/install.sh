#!/usr/bin/env bash
# install.sh BINARY FOLDER: puts the shim where containerd looks for it, and a link by which users of
# runwasi's wasmtime shim find it too, unless they have that one.
set -euo pipefail
binary=$1 folder=$2
if [ ! -x "$binary" ]; then
  echo "install: there is no $binary; run make build first, as yourself" >&2
  exit 1
fi
install -D -m 0755 "$binary" "$folder/containerd-shim-lighter-v1"
echo "installed $folder/containerd-shim-lighter-v1"
peer="$folder/containerd-shim-wasmtime-v1"
if [ -e "$peer" ] && [ "$(readlink "$peer")" != containerd-shim-lighter-v1 ]; then
  echo "left $peer as it is"
else
  ln -sfn containerd-shim-lighter-v1 "$peer"
  echo "linked $peer to it"
fi
