#!/usr/bin/env bash
# Installs missing packages for building and testing (`scripts/provision.sh demo`: only what `make demo` needs):
# a C compiler's linker, libseccomp's static library, protobuf's compiler for the tests' CRI client, containerd 1.6 with
# runc and the CNI plug-ins, a static busybox and iptables for the test images, erofs-utils for the snapshotter of that
# name, Python and node for Dapr's SDKs and the examples in those languages, clang, lld and wasi-libc for the one in C.
# scripts/containerds.sh fetches the other containerds, scripts/dapr-sdks.sh the SDKs, scripts/examples.sh other
# toolchains, all into the build directory.
set -euo pipefail
packages=()
root=(); [ "$(id -u)" = 0 ] || root=(sudo)
need() { "${@:2}" >/dev/null 2>&1 || packages+=("$1"); }
need gcc command -v gcc
need libc6-dev test -e /usr/include/stdlib.h
need libseccomp-dev test -e /usr/include/seccomp.h
need pkg-config command -v pkg-config
need containerd command -v containerd
need runc command -v runc
# For all but `scripts/provision.sh demo`: what the tests also need.
if [ "${1:-}" != demo ]; then
  need protobuf-compiler command -v protoc
  need busybox-static test -x /bin/busybox
  need containernetworking-plugins test -x /usr/lib/cni/bridge -o -x /opt/cni/bin/bridge
  need erofs-utils command -v mkfs.erofs
  need iproute2 command -v ip
  need iptables test -x /usr/sbin/iptables
  need python3-venv python3 -c "import ensurepip, venv"
  need nodejs command -v node
  need npm command -v npm
  need clang command -v clang
  need lld command -v wasm-ld
  need wasi-libc test -e /usr/lib/wasm32-wasi/libc.a
  if ! compgen -G "/usr/lib/llvm-*/lib/clang/*/lib/wasi/*builtins-wasm32.a" >/dev/null && command -v apt-cache >/dev/null; then
    # Its name contains the version of clang that this system has.
    llvm() { LC_ALL=C apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p'; }
    [ -n "$(llvm)" ] || "${root[@]}" apt-get update -qq
    packages+=("libclang-rt-$(llvm)-dev-wasm32")
  fi
fi
# For `scripts/provision.sh bench`: the load generator.
[ "${1:-}" != bench ] || need wrk command -v wrk
# For `scripts/provision.sh fuzz`: libFuzzer is C++.
[ "${1:-}" != fuzz ] || need g++ command -v g++
# For `scripts/provision.sh wasmedge`: the parser of its headers, and the library where apt has the right version;
# elsewhere scripts/wasmedge.sh unpacks it.
if [ "${1:-}" = wasmedge ]; then
  need libclang-dev compgen -G "/usr/lib*/llvm-*/lib/libclang.so"
  if grep -q "^Version: 0\.17\." <(apt-cache show --no-all-versions libwasmedge-dev 2>/dev/null); then
    need libwasmedge-dev test -e /usr/include/wasmedge/version.h
  else
    need patchelf command -v patchelf
  fi
fi
[ ${#packages[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "scripts/provision.sh: install these with your package manager: ${packages[*]}" >&2
  exit 1
fi
echo "installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
