#!/usr/bin/env bash
# Fact: a guest of Wasmtime that makes a file on a file system which is mounted read-only is told "input/output error"
#   (errno 29 of WASI preview 1), where the kernel says EROFS to the host and WASI has "read-only file system" (69). Its
#   table of the kernel's errors has no case for EROFS, though those of both WASI versions have the code.
# Version: wasmtime 50.0.1 of PyPI; wasmtime-wasi 48.0.8 reads the same.
# Source: run here; wasmtime-wasi's filesystem.rs has ReadOnly in its ErrorCode and nothing that makes one of an io::Error.
# Date: 2026-11-28
# Why it matters here: programs tell a read-only volume from a broken disk by this code. Where Wasmtime says "input/output
#   error" of a call that writes, we look whether the place is mounted read-only, and say so: crates/worlds/src/paths.rs.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "run it as root: it mounts an empty file system, in a namespace of its own" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check wasmtime==50.0.1
cat >make.py <<'PYTHON'
import os
import wasmtime
TEXT = """
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 32) "new")
  (func (export "make") (result i32) ;; O_CREAT, to write
    (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 3) (i32.const 1) (i64.const 64) (i64.const 0)
      (i32.const 0) (i32.const 24))))
"""
try:
    os.open("folder/new", os.O_CREAT | os.O_WRONLY)
except OSError as error:
    print("the host is told", error.errno, error.strerror)
engine = wasmtime.Engine()
store, linker, wasi = wasmtime.Store(engine), wasmtime.Linker(engine), wasmtime.WasiConfig()
wasi.preopen_dir("folder", "/")
store.set_wasi(wasi)
linker.define_wasi()
guest = linker.instantiate(store, wasmtime.Module(engine, TEXT))
print("the guest is told", guest.exports(store)["make"](store))
PYTHON
mkdir folder
told=$(unshare --mount sh -c 'mount -t tmpfs -o ro none folder && exec venv/bin/python make.py')
echo "wasmtime $(venv/bin/pip show wasmtime 2>/dev/null | sed -n 's/^Version: //p')"
echo "$told"
[ "$told" = "the host is told 30 Read-only file system
the guest is told 29" ] || { echo "Wasmtime does otherwise now" >&2; exit 1; }
echo "behaviour: EROFS becomes an input/output error"
