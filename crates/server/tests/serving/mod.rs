//! A server on the loopback interface.

use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::Full;
use server::{Failure, Handler, Permit, RequestBody, Server};
use workload::Http;

/// Answers with the method, URI and Host of the request.
pub struct Repeats;

impl Handler for Repeats {
    type Body = Full<Bytes>;

    async fn handle(
        self: Arc<Self>,
        request: Request<RequestBody>,
        _permit: Permit,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        let host = request.headers().get(HOST).map_or("none", |host| host.to_str().unwrap());
        let text = format!("[{} {} of {host}]", request.method(), request.uri());
        Ok(Response::new(Full::new(text.into())))
    }
}

/// Low limits and long time-outs.
pub fn settings() -> Http {
    const SECOND: Duration = Duration::from_secs(1);
    Http {
        address: "0.0.0.0:8080".parse().unwrap(),
        reuse: 1,
        concurrency: 8,
        queue: 8,
        connections: 8,
        connections_per_peer: None,
        stack: 512 << 10,
        max_header: 8 << 10,
        max_body: 8,
        header_timeout: 20 * SECOND,
        timeout: 20 * SECOND,
        grace: SECOND,
        health: None,
        tls: None,
        cores: None,
    }
}

/// The server's address; it serves for as long as the process lives.
pub fn serve_with(settings: Http, handler: impl Handler) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = Server::new(settings, listener.into()).unwrap();
        runtime.block_on(server.run(Arc::new(handler), pending())).unwrap();
    });
    address
}
