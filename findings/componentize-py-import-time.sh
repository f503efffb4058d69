#!/usr/bin/env bash
# Fact: componentize-py runs an application's imports once, at build time, and sows Python's `random` anew in each run,
#   but nothing else: a random.Random() that a module made for itself gives the same numbers in every run of the
#   component, and time.monotonic() is behind what it was when the module was imported.
# Version: componentize-py 0.25.1 (its bundled CPython is printed), run by wasmtime 50.0.1 (both from PyPI).
# Source: run here. The package's description says that imports happen at build time, and nothing of generators, which
#   look in order wherever only the shared one is tried, or of clocks.
# Date: 2026-11-28
# Why it matters here: a component that answers HTTP is a fresh copy for each request. A Python one whose modules keep a
#   generator or a starting time of their own gives each client the same "random" numbers and a negative uptime,
#   and a try with the module's random functions does not show it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: componentize-py==0.25.1 wasmtime==50.0.1
mkdir wit
cat >wit/dice.wit <<'WIT'
package demo:dice@0.1.0;

world dice {
  export cast: func() -> string;
}
WIT
cat >app.py <<'PYTHON'
import random
import sys
import time

import wit_world

OWN = random.Random()
STARTED = time.monotonic()


class WitWorld(wit_world.WitWorld):
    def cast(self) -> str:
        shared = [random.randrange(10**6) for _ in range(3)]
        own = [OWN.randrange(10**6) for _ in range(3)]
        uptime = time.monotonic() - STARTED
        return f"{shared}; {own}; {uptime:.3f}; {sys.version.split()[0]}"
PYTHON
cat >run.py <<'PYTHON'
import sys

import wasmtime
from wasmtime import component

engine = wasmtime.Engine()
dice = component.Component.from_file(engine, "dice.wasm")
linker = component.Linker(engine)
linker.add_wasip2()
runs = []
for number in range(1, 4):
    store = wasmtime.Store(engine)
    store.set_wasi(wasmtime.WasiConfig())
    instance = linker.instantiate(store, dice)
    shared, own, uptime, version = instance.get_func(store, "cast")(store).split("; ")
    print(f"run {number} (Python {version}): random {shared}, own Random {own}, uptime {uptime} s")
    runs.append((shared, own, float(uptime)))
shared, own, uptimes = zip(*runs)
if len(set(shared)) != 3 or len(set(own)) != 1 or max(uptimes) >= 0:
    sys.exit("componentize-py does otherwise now")
PYTHON

python/bin/pip list --disable-pip-version-check 2>/dev/null | grep -E '^(componentize-py|wasmtime) '
python/bin/componentize-py --quiet --wit-path wit --world dice componentize app --output dice.wasm
timeout 120 python/bin/python run.py
echo "behaviour: only the shared generator is sown in each run; a module's own repeats, and its uptime is negative"
