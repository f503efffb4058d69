#!/usr/bin/env bash
# Fact: what a Rust ttrpc server says to a call that it does not have depends on which half of the crate it was built
#   with. The asynchronous one answers UNIMPLEMENTED for an unknown method and INVALID_ARGUMENT for an unknown service;
#   the synchronous one answers INVALID_ARGUMENT for both. ttrpc for Go answers UNIMPLEMENTED for both.
# Version: ttrpc 0.10.0, tokio 1.54.1, protobuf 3.7.2.
# Source: run here; the crate's documentation says nothing of it. What Go's does is read in services.go of
#   containerd/ttrpc and not run. The crate's own ttrpc.proto has INVALID_ARGUMENT for arguments that are wrong whatever
#   the state of the system is.
# Date: 2026-11-28
# Why it matters here: containerd finds out what a shim can do by calling services that it may not have, and goes on
#   without them on UNIMPLEMENTED only. A shim on this crate must register such services, empty, to be asked no more.
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
async-trait = "=0.1.92"
protobuf = "=3.7.2"
tokio = { version = "=1.54.1", default-features = false, features = ["rt", "rt-multi-thread"] }
ttrpc = { version = "=0.10.0", default-features = false, features = ["async", "rustprotobuf", "sync"] }

[workspace]
TOML
cat >src/main.rs <<'RUST'
use std::collections::HashMap;

use ttrpc::proto::{Request, Response};
use ttrpc::Error;

/// The one method of the one service.
struct Greet;

impl ttrpc::MethodHandler for Greet {
    fn handler(&self, context: ttrpc::TtrpcContext, _: Request) -> ttrpc::Result<()> {
        context.respond(context.mh.stream_id, Response::new())
    }
}

#[async_trait::async_trait]
impl ttrpc::r#async::MethodHandler for Greet {
    async fn handler(&self, _: ttrpc::r#async::TtrpcContext, _: Request) -> ttrpc::Result<Response> {
        Ok(Response::new())
    }
}

fn ask(server: &str, address: &str) {
    let client = ttrpc::Client::connect(address).unwrap();
    for (service, method) in [("demo.Greeter", "Greet"), ("demo.Greeter", "Part"), ("demo.Absent", "Greet")] {
        let request = Request {
            service: service.into(),
            method: method.into(),
            timeout_nano: 5_000_000_000,
            ..Default::default()
        };
        let answer = match client.request(request) {
            Ok(_) => "OK".to_owned(),
            Err(Error::RpcStatus(status)) => format!("{:?}, \"{}\"", status.code(), status.message()),
            Err(error) => error.to_string(),
        };
        println!("{server}: {service}/{method}: {answer}");
    }
}

fn main() {
    let folder = std::env::args().nth(1).unwrap();

    let address = format!("unix://{folder}/sync");
    let mut methods: HashMap<String, Box<dyn ttrpc::MethodHandler + Send + Sync>> = HashMap::new();
    methods.insert("/demo.Greeter/Greet".into(), Box::new(Greet));
    let mut server = ttrpc::Server::new().bind(&address).unwrap().register_service(methods);
    server.start().unwrap();
    ask("synchronous", &address);
    server.shutdown();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let inside = runtime.enter();
    let address = format!("unix://{folder}/async");
    let mut methods: HashMap<String, Box<dyn ttrpc::r#async::MethodHandler + Send + Sync>> = HashMap::new();
    methods.insert("Greet".into(), Box::new(Greet));
    let service = ttrpc::r#async::Service { methods, streams: HashMap::new() };
    let services = HashMap::from([("demo.Greeter".to_owned(), service)]);
    let mut server = ttrpc::r#async::Server::new().bind(&address).unwrap().register_service(services);
    runtime.block_on(server.start()).unwrap();
    ask("asynchronous", &address);
    runtime.block_on(server.shutdown()).unwrap();
    drop(inside);
}
RUST
cat >expected <<'TEXT'
synchronous: demo.Greeter/Greet: OK
synchronous: demo.Greeter/Part: INVALID_ARGUMENT, "/demo.Greeter/Part does not exist"
synchronous: demo.Absent/Greet: INVALID_ARGUMENT, "/demo.Absent/Greet does not exist"
asynchronous: demo.Greeter/Greet: OK
asynchronous: demo.Greeter/Part: UNIMPLEMENTED, "Part method"
asynchronous: demo.Absent/Greet: INVALID_ARGUMENT, "demo.Absent service does not exist"
TEXT

cargo build --quiet --jobs 1
timeout 60 target/debug/finding "$dir" >output
echo "ttrpc $(sed -n '/^name = "ttrpc"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)"
cat output
diff expected output >&2 || { echo "ttrpc does otherwise now" >&2; exit 1; }
echo "behaviour: an unknown service is a wrong argument; an unknown method is one, too, or unimplemented"
