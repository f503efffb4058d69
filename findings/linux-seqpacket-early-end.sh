#!/usr/bin/env bash
# Fact: on a non-blocking AF_UNIX socket of type SEQPACKET, recv(2) may return 0, which is read as the peer's end, while
#   the peer's last message is in the queue: the next recv returns it. The kernel looks for a message first, and for the
#   peer's close after that; a message and a close that both come in between are seen as the close alone. With a
#   zero-length read only a second one is the end. Seen some 1 in 1,000 times by a reader that polls while its peer sends
#   one message and closes.
# Version: rustix 1.1.4; Linux 6.18 when this was written.
# Source: run here. unix(7) and recv(2) say only that 0 means an orderly shutdown by the peer.
# Date: 2026-11-28
# Why it matters here: a guest confirmed its start, closed its end, and ran, while the daemon took it for dead; once in
#   thousands of starts. `container/channel.rs` looks twice.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset CARGO_TARGET_DIR
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[workspace]
[package]
name = "early-end"
version = "0.1.0"
edition = "2024"
[dependencies]
rustix = { version = "=1.1.4", features = ["net"] }
TOML
cat >"$dir/src/main.rs" <<'RUST'
use std::os::fd::OwnedFd;
use std::sync::mpsc::sync_channel;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

const RUNS: u32 = 200_000;

fn main() {
    let (hand_over, ends) = sync_channel::<OwnedFd>(0);
    let sender = std::thread::spawn(move || {
        for end in ends {
            send(&end, b"x", SendFlags::empty()).unwrap();
        }
    });
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (mut early, mut late) = (0, 0);
    for _ in 0..RUNS {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        hand_over.send(other).unwrap();
        let read = || recv(&one, &mut [0; 8], RecvFlags::empty()).map(|(read, _)| read);
        let first = loop {
            match read() {
                Err(Errno::AGAIN) => {}
                done => break done.unwrap(),
            }
        };
        if first == 0 {
            early += 1;
            late += read().unwrap();
        }
    }
    drop(hand_over);
    sender.join().unwrap();
    println!("of {RUNS} messages {early} were behind an end; {late} of these came with the next call");
    std::process::exit(i32::from(early == 0 || late != early));
}
RUST
uname -r
cd "$dir" && cargo run --quiet --release
