#!/usr/bin/env bash
# Fact: to serde-saphyr a file mode as Kubernetes' documentation writes it, `defaultMode: 0400`, is no integer: a field
#   of type u32 refuses it, and an untyped value holds the floating-point number 400.0. It is 256 to YAML 1.1, which
#   PyYAML reads, and 400 to YAML 1.2's core schema. `0o400` is 256 here, and text to PyYAML, so that no octal form of a
#   mode is a number to both. Yet `yes` and `on` are true without a type, and `1_000` is a thousand, as in YAML 1.1.
# Version: serde-saphyr 2.2.0 with its default options (`legacy_octal_numbers` is off), beside PyYAML 6.0.3.
# Source: YAML 1.1's int type, YAML 1.2.2 section 10.3.2 (the core schema's integers may begin with zeros); run here.
# Date: 2026-11-28
# Why it matters here: pods of the examples and of the tests are Kubernetes' YAML read with this crate; a manifest that
#   a cluster takes may be refused by it, or a mode of an untyped part may reach the JSON as 400.0.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export CARGO_TARGET_DIR=$dir/target
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
serde = { version = "=1.0.229", features = ["derive"] }
serde-saphyr = { version = "=2.2.0", default-features = false, features = ["deserialize"] }
serde_json = "=1.0.154"

[workspace]
TOML
cat >src/main.rs <<'RUST'
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secret {
    default_mode: u32,
}

fn main() {
    for written in ["0400", "0o400", "256", "1_000", "yes", "on"] {
        let yaml = format!("defaultMode: {written}\n");
        let typed = match serde_saphyr::from_str::<Secret>(&yaml) {
            Ok(secret) => secret.default_mode.to_string(),
            Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
        };
        let untyped: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        println!("serde-saphyr: {written}: u32: {typed}; untyped: {}", untyped["defaultMode"]);
    }
}
RUST
cat >expected <<'TEXT'
serde-saphyr: 0400: u32: error: line 1 column 14: invalid u32; untyped: 400.0
serde-saphyr: 0o400: u32: 256; untyped: 256
serde-saphyr: 256: u32: 256; untyped: 256
serde-saphyr: 1_000: u32: 1000; untyped: 1000
serde-saphyr: yes: u32: error: line 1 column 14: invalid u32; untyped: true
serde-saphyr: on: u32: error: line 1 column 14: invalid u32; untyped: true
PyYAML: 0400: 256
PyYAML: 0o400: "0o400"
PyYAML: 256: 256
PyYAML: 1_000: 1000
PyYAML: yes: true
PyYAML: on: true
TEXT

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: PyYAML==6.0.3
cargo run --quiet --jobs 1 >output
python/bin/python - >>output <<'PYTHON'
import json

import yaml

for written in ["0400", "0o400", "256", "1_000", "yes", "on"]:
    mode = yaml.safe_load(f"defaultMode: {written}\n")["defaultMode"]
    print(f"PyYAML: {written}: {json.dumps(mode)}")
PYTHON
echo "serde-saphyr $(sed -n '/^name = "serde-saphyr"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)"
python/bin/pip list --disable-pip-version-check 2>/dev/null | grep -i '^pyyaml '
cat output
diff expected output >&2 || { echo "one of them does otherwise now" >&2; exit 1; }
echo "behaviour: a mode with a leading zero is neither octal nor decimal: refused where typed, else 400.0"
