//! A client's bytes into the server in front of a guest: HTTP/1.1, or HTTP/2 if they begin with its preface.
//!
//! The guest reads a request's body and answers with it.

use std::future::pending;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use server::{Failure, Handler, Permit, RequestBody, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use workload::{Guest, HttpHandler, Job, Wasi, World};

use crate::Run;

struct Repeats;

impl Handler for Repeats {
    type Body = Full<Bytes>;

    async fn handle(
        self: Arc<Self>,
        request: Request<RequestBody>,
        _permit: Permit,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        let body =
            request.into_body().collect().await.map_err(|error| Failure::Declined(format!("{error:?}")))?;
        Ok(Response::new(Full::new(body.to_bytes())))
    }
}

/// Tight bounds, so that inputs reach them.
const SPEC: &str = r#"{"ociVersion":"1.0.2","root":{"path":"r"},
    "annotations":{"lighter.wasm/http.max-body":"256","lighter.wasm/http.max-header":"8Ki",
        "lighter.wasm/http.concurrency":"2","lighter.wasm/http.queue":"2","lighter.wasm/http.health":"/up"},
    "process":{"user":{"uid":0,"gid":0},"cwd":"/","args":["a"]}}"#;

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    let workload = super::workload(SPEC.as_bytes()).context("the target's own spec is wrong")?;
    let world = World::HttpHandler(HttpHandler { wasi: Wasi::P2, concurrent: false });
    let Job::HttpHandler(_, settings) = Guest::of(&workload, world)?.job else { bail!("it is not served") };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = Server::new(settings, listener.into())?;
    let runtime = super::hasty()?;
    runtime.spawn(server.run(Arc::new(Repeats), pending()));
    Ok(Box::new(move |bytes| {
        runtime.block_on(async {
            let Ok(mut stream) = TcpStream::connect(address).await else { return };
            let conversation = async {
                // The server may close before all is sent.
                let _ = stream.write_all(bytes).await;
                let _ = stream.shutdown().await;
                let mut said = Vec::new();
                let _ = stream.read_to_end(&mut said).await;
            };
            let hour = Duration::from_secs(3600);
            assert!(timeout(hour, conversation).await.is_ok(), "the connection outlives every deadline");
        });
    }))
}
