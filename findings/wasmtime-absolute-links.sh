#!/usr/bin/env bash
# Fact: a guest of Wasmtime cannot so much as read where an absolute symbolic link leads, nor make one: both are "operation
#   not permitted" (errno 63 of WASI preview 1), though neither follows the link. A relative link is read, made and followed.
# Version: wasmtime 50.0.1 of PyPI; wasmtime-wasi 48.0.8 does the same on WASI 0.2 and 0.3.
# Source: run here. WASI's own text speaks of following links out of a directory, not of reading them.
# Date: 2026-11-28
# Why it matters here: images of Debian are full of absolute links (/etc/alternatives, /etc/localtime), and programs that copy
#   or list files read them all. So what Wasmtime refuses with that error is tried once more by the kernel, within the
#   container's root: see crates/worlds/src/paths.rs. When Wasmtime reads them, that is less to do.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check wasmtime==50.0.1
mkdir folder
ln -s /etc/hostname folder/absolute
ln -s other folder/relative
cat >links.py <<'PYTHON'
import wasmtime
TEXT = """
(module
  (import "wasi_snapshot_preview1" "path_readlink"
    (func $readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink"
    (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 32) "absolute")
  (data (i32.const 48) "relative")
  (data (i32.const 64) "/new")
  (func (export "read") (param i32) (result i32)
    (call $readlink (i32.const 3) (local.get 0) (i32.const 8) (i32.const 128) (i32.const 64) (i32.const 24)))
  (func (export "make") (param i32 i32) (result i32)
    (call $symlink (local.get 0) (i32.const 4) (i32.const 3) (local.get 1) (i32.const 3))))
"""
engine = wasmtime.Engine()
store, linker, wasi = wasmtime.Store(engine), wasmtime.Linker(engine), wasmtime.WasiConfig()
wasi.preopen_dir("folder", "/")
store.set_wasi(wasi)
linker.define_wasi()
exports = linker.instantiate(store, wasmtime.Module(engine, TEXT)).exports(store)
print("to read an absolute link:", exports["read"](store, 32))
print("to read a relative link:", exports["read"](store, 48))
print("to make an absolute link:", exports["make"](store, 64, 32))
print("to make a relative link:", exports["make"](store, 48, 65))
PYTHON
seen=$(venv/bin/python links.py)
echo "wasmtime $(venv/bin/pip show wasmtime 2>/dev/null | sed -n 's/^Version: //p')"
echo "$seen"
[ "$seen" = "to read an absolute link: 63
to read a relative link: 0
to make an absolute link: 63
to make a relative link: 0" ] || { echo "Wasmtime does otherwise now" >&2; exit 1; }
echo "behaviour: absolute links are neither read nor made"
