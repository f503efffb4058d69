#!/usr/bin/env bash
# Makes an image of a Wasm file and a text, runs it on a private containerd with the shim just built, and shows what it
# prints. Needs root; leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec sudo -E env "PATH=$PATH" "$0"

programs=$(scripts/target-dir.sh)
wasm=test/guests/hello-p2/hello-p2.wasm
image=localhost/demo:latest
dir=$(mktemp -d /tmp/lighter-demo.XXXXXX)
containerd=
ctr() { command ctr --address "$dir/c.sock" "$@"; }
clean() {
  if [ -n "$containerd" ]; then
    kill "$containerd"
    wait "$containerd" || true
  fi
  rm -rf "$dir"
}
trap clean EXIT

# The archive that `docker save` writes: containerd imports it, too.
case $(uname -m) in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; *) machine=$(uname -m) ;; esac
mkdir "$dir/root" "$dir/image"
install -m 644 "$wasm" "$dir/root/app.wasm"
echo -n "a barge carries what the ship brought" >"$dir/root/motd"
tar -cf "$dir/image/layer.tar" -C "$dir/root" app.wasm motd
digest=$(sha256sum <"$dir/image/layer.tar")
cat >"$dir/image/config.json" <<JSON
{"architecture": "$machine", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:${digest%% *}"]}}
JSON
cat >"$dir/image/manifest.json" <<JSON
[{"Config": "config.json", "RepoTags": ["$image"], "Layers": ["layer.tar"]}]
JSON
tar -cf "$dir/image.tar" -C "$dir/image" manifest.json config.json layer.tar

cat >"$dir/config.toml" <<TOML
version = 2
root = "$dir/state/root"
state = "$dir/state/run"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
address = "$dir/c.sock"
[ttrpc]
address = "$dir/t.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "$dir/opt"
TOML
PATH="$programs:$PATH" containerd --config "$dir/config.toml" >"$dir/log" 2>&1 &
containerd=$!
for _ in $(seq 100); do
  ctr version >/dev/null 2>&1 && break
  kill -0 "$containerd" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done

ctr image import "$dir/image.tar" >/dev/null
echo "$(containerd --version | cut -d' ' -f1,3); the image $image holds /app.wasm, $(stat -c %s "$wasm") bytes, and /motd"
run=(run --rm --runtime io.containerd.lighter.v1 --env GREETING=hello "$image" demo /app.wasm 0 /motd)
echo "$ ctr ${run[*]}"
ctr "${run[@]}" </dev/null
left=$(ctr container list --quiet; grep -F "$dir" /proc/self/mountinfo || true)
[ -z "$left" ] || { echo "it left behind: $left" >&2; exit 1; }
echo "and it left nothing behind"
