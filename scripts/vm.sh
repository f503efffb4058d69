#!/usr/bin/env bash
# The end-to-end tests on the configuration of most clusters: one cgroup hierarchy (v2) and systemd as init, in a
# virtual machine with Debian 12, once with the shim making the cgroups and once with systemd making them.
# Arguments are those of the e2e binary (versions, parts of names). Without any, Debian 12's containerd
# runs the tests of what cgroup v2 and systemd do otherwise: containers, their limits, devices and ends; those of
# engines do not depend on the machine, and those that repeat something hundreds of times take too long in an emulated one.
#
# The machine's disk and kernel are made once, into target/vm, from the mirror that this system's apt
# uses; set DEBIAN_MIRROR where that one carries no Debian. The machine never writes to them and has
# no network, and none of Dapr's SDKs. What changes, the binaries and what they read, is on a second disk, at
# the same path as here, made for each run. Needs root, and no KVM.
#   VM_DRIVERS   the cgroup drivers, "cgroupfs systemd" by default
#   VM_LIMIT     seconds until the machine is killed, 1000 by default
#   LIGHTER_E2E_RUNTIME   another runtime, to test the tests: io.containerd.runc.v2
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
[ "$(id -u)" = 0 ] || exec sudo -E env "PATH=$PATH" "$project/scripts/vm.sh" "$@"
cd "$project"
target=$(dirname "$(dirname "$(scripts/target-dir.sh)")")
vm=$target/vm
[ $# -gt 0 ] || set -- 1.6 native-hello hello-p2 cpuset metrics pause native-oom grow-refused memory-limit rpc- census kill-all \
  sigkill delete-running exec-inside exec-killed exec-power exec-process terminal-size user-namespace \
  shim-killed containerd-killed events hooks propagation file-mount pod-one pod-pid pod-mounts jail-capabilities device- cgroups-read-only root-nodev option-shim-cgroup '!cri-' '!in-create' '!survives-' '!http-'
packages=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,dbus,kmod,iproute2,iptables,containerd,runc,busybox-static
mkdir -p "$vm"
scratch=$(mktemp -d "$vm/run.XXXXXX")
machine=
trap '[ -z "$machine" ] || kill "$machine" || true; rm -rf --one-file-system "$scratch"' EXIT
trap 'exit 130' HUP INT TERM

provision() {
  local missing=()
  command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
  command -v debootstrap >/dev/null || missing+=(debootstrap)
  command -v mke2fs >/dev/null || missing+=(e2fsprogs)
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Makes disk, kernel and initrd unless they were made of the same packages.
disk() {
  if [ "$(cat "$vm/packages" 2>/dev/null)" = "$packages" ]; then return; fi
  local root=$scratch/root
  # shellcheck source=scripts/debian.sh
  . scripts/debian.sh
  [ -n "$debian_mirror" ] || { echo "$0: $(debian_missing)" >&2; exit 1; }
  echo "making the machine's disk"
  rm -f "$vm/packages"
  # debootstrap's mounts go with the namespace, even when it fails.
  if ! unshare --mount timeout 600 debootstrap --variant=minbase --include="$packages" \
    bookworm "$root" "$debian_mirror" >"$scratch/log" 2>&1 </dev/null; then
    tail -n 20 "$scratch/log" >&2
    exit 1
  fi
  cp "$root"/boot/vmlinuz-* "$vm/kernel"
  cp "$root"/boot/initrd.img-* "$vm/initrd"
  rm -rf "${root:?}"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
  mke2fs -q -t ext4 -d "$root" -F "$vm/disk" 2G >/dev/null
  rm -rf --one-file-system "$root"
  echo "$packages" >"$vm/packages"
}

# The second disk: the part of the project that the end-to-end tests read, laid out as here.
tests() {
  local root=$scratch/tests release e2e
  release=$root/target/$(rustc -vV | sed -n 's/^host: //p')/release
  e2e=$(cargo test --release --workspace --lib --bins --tests --no-run 2>&1 |
    sed -n 's|^ *Executable tests/e2e/main.rs (\(.*\))$|\1|p')
  mkdir -p "$release/deps" "$root/target/containerds" "$root/scripts" "$root/test/e2e" "$root/crates/engine/conformance"
  touch "$root/target/CACHEDIR.TAG"
  cp "$e2e" "$release/deps/e2e"
  cp "$(scripts/target-dir.sh)"/{containerd-shim-lighter-v1,lighter-daemon,daprd,redirected-proxy} "$release/"
  cp scripts/containerds.sh scripts/debian.sh "$root/scripts/"
  cp -r test/examples test/guests "$root/test/"
  cp -r crates/engine/conformance/cases "$root/crates/engine/conformance/"
  containerds "$target/containerds" "$root/target/containerds"
  # The apps of test/examples would take the machine minutes to compile.
  guest "${release/#$root/$project}/deps/e2e" '!example-' "$@" >"$root/run"
  mke2fs -q -t ext4 -d "$root" -F "$scratch/disk" 1G >/dev/null
}

# guest E2E ARG...: prints the script that the machine runs; its output goes to the second serial line.
guest() {
  cat <<SH
exec >/dev/ttyS1 2>&1 </dev/null
stty -F /dev/ttyS1 raw
# Booted for one command, systemd starts no bus; its clients would have to use its private socket.
systemctl start dbus
verdict=0
${LIGHTER_E2E_RUNTIME:+export LIGHTER_E2E_RUNTIME=$LIGHTER_E2E_RUNTIME}
for driver in ${VM_DRIVERS:-cgroupfs systemd}; do
  echo "\$(uname -r), \$(stat -f -c %T /sys/fs/cgroup), cgroups made by \$driver"
  LIGHTER_E2E_CGROUPS=\$driver LIGHTER_E2E_SLOW=$slow ${*@Q} || verdict=1
done
echo "exit \$verdict"
SH
}

# containerds FROM TO: copies all but the system's, user builds included; the machine has one of its own.
containerds() {
  scripts/containerds.sh "$1" >/dev/null
  sed '/^[^ ]* system /d' "$1/versions" >"$2/versions"
  cut -d ' ' -f 1 "$2/versions" | while read -r version; do cp -r "$1/$version" "$2/"; done
}

# Whether KVM can be opened and runs the kernel, which then prints within seconds, if only that it
# finds no disk.
kvm() {
  [ -w /dev/kvm ] || return 1
  timeout 5 qemu-system-x86_64 -accel kvm -cpu max -M q35 -m 512 -nodefaults -display none -no-reboot \
    -kernel "$vm/kernel" -append "console=ttyS0 panic=-1" -serial "file:$scratch/kvm" </dev/null >/dev/null 2>&1 || true
  [ -s "$scratch/kvm" ]
}

# Runs the machine: its console goes to a file, the tests' output to another one and to stdout.
boot() {
  local run="mkdir -p $project && mount /dev/vdb $project && exec sh $project/run" ended=0
  : >"$scratch/said"
  timeout -k 5 "${VM_LIMIT:-1000}" qemu-system-x86_64 -accel "$accel" -cpu max -M q35 -smp 2 -m 2048 \
    -nodefaults -display none -net none -no-reboot -kernel "$vm/kernel" -initrd "$vm/initrd" \
    -append "root=/dev/vda rw console=ttyS0 quiet mitigations=off systemd.run=\"/bin/sh -c '$run'\"" \
    -drive "file=$vm/disk,if=virtio,format=raw,snapshot=on" -drive "file=$scratch/disk,if=virtio,format=raw" \
    -serial "file:$scratch/console" -serial "file:$scratch/said" </dev/null &
  machine=$!
  tail -n +1 -f --pid="$machine" "$scratch/said" &
  wait "$machine" || ended=$?
  machine=
  wait
  [ "$ended" = 0 ] || echo "$0: qemu ended with $ended; 124 is being killed after its time" >&2
}

provision
disk
accel=tcg slow=5
if kvm; then accel=kvm slow=1; fi
tests "$@"
echo "booting with $accel"
boot
case $(tail -n 1 "$scratch/said") in
"exit 0") exit 0 ;;
"exit 1") exit 1 ;;
*) tail -n 40 "$scratch/console" >&2; exit 1 ;;
esac
