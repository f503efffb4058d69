# Each target installs what it needs (apt, on Debian and Ubuntu) and says what it does.
SHELL := /bin/bash
PREFIX ?= /usr/local

.PHONY: all check test test-inner test-e2e test-vm test-wasmedge wasmedge bench demo install provision build audit fuzz
all: build

provision: ; @scripts/provision.sh
build: provision ; cargo build --release --workspace --all-targets
wasmedge: build ; scripts/wasmedge-build.sh
check: provision
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	# Without WASI 0.3. The whole workspace: a selection has other features, and would check all again.
	cargo check --release --workspace --no-default-features --features shim/wasmtime
test: test-inner test-e2e
test-inner: build ; scripts/test.sh inner
test-e2e: build ; scripts/test.sh e2e
test-wasmedge: wasmedge ; scripts/test-wasmedge.sh
test-vm: build ; scripts/vm.sh
audit: ; @scripts/audit.sh
fuzz: ; scripts/fuzz.sh
bench: build ; scripts/bench.sh
# Builds what it runs with the workspace's features and profile, so that `make build` and `make test` recompile nothing.
demo:
	@scripts/provision.sh demo
	cargo build --release --workspace --bin lighter-daemon --bin containerd-shim-lighter-v1
	scripts/demo.sh
install: ; scripts/install.sh "$$(scripts/target-dir.sh)" "$(DESTDIR)$(PREFIX)/bin"
