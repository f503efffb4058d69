#!/usr/bin/env bash
# Fact: hickory-resolver reads resolv.conf with a reader of its own and means other things by it than resolv.conf(5).
#   The first two name servers are asked at once, and whichever is quicker decides, even by saying that the name does
#   not exist while the first would have known it. `timeout:1 attempts:1`, to resolv.conf(5) one datagram and one
#   second, sends six datagrams in two seconds to a server that is silent: `attempts` are taken as further tries,
#   and each try sends three times.
# Version: hickory-resolver 0.26.3 with its reader's own options, only the port and the use of /etc/hosts changed.
# Source: resolv.conf(5) of Linux man-pages, `nameserver`, `timeout` and `attempts`; run here, against name servers on
#   loopback addresses. The crate documents that its default is two servers at a time, not what that does to order.
# Date: 2026-11-28
# Why it matters here: a pod's resolv.conf may name a cluster's server first and a public one after it, which denies
#   all the cluster's names faster than the cluster's server finds them. Whoever wants glibc's order and patience
#   has to ask each server through a resolver of its own.
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
hickory-resolver = { version = "=0.26.3", default-features = false, features = ["system-config", "tokio"] }
tokio = { version = "=1.54.1", default-features = false, features = ["net", "rt", "time"] }

[workspace]
TOML
cat >src/main.rs <<'RUST'
use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hickory_resolver::config::{ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::Resolver;

#[derive(Clone, Copy)]
enum Says {
    Address([u8; 4]),
    NoSuchName,
    Nothing,
}

/// A name server that says the same to every question, after `delay`; counts what it was asked.
fn serve(ip: &str, port: u16, says: Says, delay: Duration) -> (Arc<AtomicUsize>, u16) {
    let socket = UdpSocket::bind((ip, port)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || loop {
        let mut buffer = [0; 1500];
        let (length, client) = socket.recv_from(&mut buffer).unwrap();
        count.fetch_add(1, Ordering::SeqCst);
        let name_end = 12 + buffer[12..length].iter().position(|byte| *byte == 0).unwrap();
        // The question as it came; response, recursion there and asked for.
        let mut answer = buffer[..name_end + 5].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
        match says {
            Says::Address(address) => {
                answer[7] = 1;
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(address);
            }
            Says::NoSuchName => answer[3] |= 3,
            Says::Nothing => continue,
        }
        thread::sleep(delay);
        let _ = socket.send_to(&answer, client);
    });
    (asked, port)
}

/// What comes of looking up a name with this resolv.conf, and after what time.
fn look_up(conf: &str, port: u16) -> (String, Duration) {
    let (config, mut options) = parse_resolv_conf(conf).unwrap();
    options.use_hosts_file = ResolveHosts::Never;
    let mut servers = config.name_servers().to_vec();
    servers.iter_mut().flat_map(|server| &mut server.connections).for_each(|connection| connection.port = port);
    let config = ResolverConfig::from_parts(None, vec![], servers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build().unwrap();
        let begun = Instant::now();
        let outcome = match resolver.ipv4_lookup("db.cluster.test.").await {
            Ok(found) => found.answers()[0].data.to_string(),
            Err(error) if error.is_nx_domain() => "no such name".to_owned(),
            Err(error) => error.to_string(),
        };
        (outcome, begun.elapsed())
    })
}

fn main() {
    // So much later is the first server's answer than the second's.
    let late = Duration::from_millis(300);
    let (first, port) = serve("127.0.0.2", 0, Says::Address([10, 0, 0, 1]), late);
    let (second, _) = serve("127.0.0.3", port, Says::NoSuchName, Duration::ZERO);
    let conf = "nameserver 127.0.0.2\nnameserver 127.0.0.3\noptions timeout:2 attempts:1\n";
    let (outcome, _) = look_up(conf, port);
    thread::sleep(late);
    let asked = [first, second].map(|count| count.load(Ordering::SeqCst) > 0);
    println!("the first knows the name after 0.3 s, the second denies it at once: {outcome}; asked: {asked:?}");

    for attempts in 1..=2 {
        let (asked, port) = serve("127.0.0.2", 0, Says::Nothing, Duration::ZERO);
        let conf = format!("nameserver 127.0.0.2\noptions timeout:1 attempts:{attempts}\n");
        let (outcome, time) = look_up(&conf, port);
        let (asked, seconds) = (asked.load(Ordering::SeqCst), time.as_secs_f64());
        println!("a silent server, timeout:1 attempts:{attempts}: {outcome}; {asked} datagrams in {seconds:.0} s");
    }
}
RUST
cat >expected <<'TEXT'
the first knows the name after 0.3 s, the second denies it at once: no such name; asked: [true, true]
a silent server, timeout:1 attempts:1: request timed out; 6 datagrams in 2 s
a silent server, timeout:1 attempts:2: request timed out; 9 datagrams in 3 s
TEXT

cargo build --quiet --jobs 1
timeout 60 target/debug/finding >output
echo "hickory-resolver $(sed -n '/^name = "hickory-resolver"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)"
cat output
diff expected output >&2 || { echo "hickory-resolver does otherwise now" >&2; exit 1; }
echo "behaviour: servers race, the first denial counts, and a silent one is asked 3 * (attempts + 1) times"
