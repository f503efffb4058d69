//! The native server that guests' servers are compared with: hyper, on as many threads as there are cores.

use std::convert::Infallible;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// Serves `hello` on the address that is its first argument, until it is killed; on one thread if there is a second.
fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).context("an address is the argument")?;
    let alone = std::env::args().nth(2).is_some();
    let mut builder = if alone { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()?.block_on(serve(&address))
}

async fn serve(address: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = service_fn(|_request| async {
            let mut response = Response::new(Full::new(Bytes::from_static(b"hello\n")));
            response
                .headers_mut()
                .insert("content-type", hyper::header::HeaderValue::from_static("text/plain"));
            Ok::<_, Infallible>(response)
        });
        tokio::spawn(
            http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), answer),
        );
    }
}
