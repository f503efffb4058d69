#!/usr/bin/env bash
# Fact: each policy that OPA compiles to Wasm imports a memory of 2 pages at least, whatever its own data segments need. A
#   host that makes the memory as large as the import says fails at instantiation with the larger policies; 3 pages are
#   enough for this one, and OPA's own host begins with 16.
# Version: a policy that OPA 1.4.2 compiled (test/guests/opa/builtins.wasm, 380 KB); wasmtime 50.0.1 of PyPI.
# Source: run here; OPA 1.4.2, internal/wasm/sdk/internal/wasm/vm.go, for the 16.
# Date: 2026-11-28
# Why it matters here: the type of an import is what an engine makes a memory of. A world says how many pages its modules
#   really begin with (engine::Core::link), and for policies that is 16.
set -euo pipefail

policy=$(cd "$(dirname "$0")/.." && pwd)/test/guests/opa/builtins.wasm
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check wasmtime==50.0.1
cat >pages.py <<'PYTHON'
import sys
import wasmtime

engine = wasmtime.Engine()
module = wasmtime.Module.from_file(engine, sys.argv[1])
declared = next(i.type.limits.min for i in module.imports if i.name == "memory")
print("pages that the import says:", declared)
for pages in (2, 3):
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    limits = wasmtime.Limits(pages, None)
    for i in module.imports:
        if i.name == "memory":
            linker.define(store, i.module, i.name, wasmtime.Memory(store, wasmtime.MemoryType(limits)))
        else:
            answer = (lambda *_: 0) if i.type.results else (lambda *_: None)
            linker.define(store, i.module, i.name, wasmtime.Func(store, i.type, answer))
    try:
        linker.instantiate(store, module)
        print(f"instantiated with {pages} pages: yes")
    except wasmtime.Trap as trap:
        print(f"instantiated with {pages} pages: no, {trap.trap_code.name}")
PYTHON
seen=$(venv/bin/python pages.py "$policy")
echo "wasmtime $(venv/bin/pip show wasmtime 2>/dev/null | sed -n 's/^Version: //p')"
echo "$seen"
[ "$seen" = "pages that the import says: 2
instantiated with 2 pages: no, MEMORY_OUT_OF_BOUNDS
instantiated with 3 pages: yes" ] || { echo "OPA's policies are otherwise now" >&2; exit 1; }
echo "behaviour: the import's minimum is less than the policy needs"
