#!/usr/bin/env bash
# Fact: a body behind `BodyExt::map_frame` of http-body-util has no exact size any more, even if the function leaves each
#   frame as it is: a response that hyper sent with Content-Length is sent in chunks. `map_err` keeps the size. The
#   documentation of neither speaks of it.
# Version: http-body-util 0.1.5, http-body 1.1.0
# Source: run here.
# Date: 2026-11-28
# Why it matters here: a server that wraps its responses' bodies, to count or to hold something until they are sent, changes
#   what its clients see. `server/connection.rs` holds a request by `map_err`.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset CARGO_TARGET_DIR
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[workspace]
[package]
name = "sizes"
version = "0.1.0"
edition = "2024"
[dependencies]
http-body = "=1.1.0"
http-body-util = "=0.1.5"
bytes = "1"
TOML
cat >"$dir/src/main.rs" <<'RUST'
use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, Full};

fn main() {
    let body = || Full::new(Bytes::from_static(b"hello"));
    let sizes = [
        body().size_hint().exact(),
        body().map_err(|error| error).size_hint().exact(),
        body().map_frame(|frame| frame).size_hint().exact(),
    ];
    println!("as it is {:?}, behind map_err {:?}, behind map_frame {:?}", sizes[0], sizes[1], sizes[2]);
    std::process::exit(i32::from(sizes != [Some(5), Some(5), None]));
}
RUST
cd "$dir" && cargo run --quiet --release
