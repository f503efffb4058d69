//! Answers every request with `hello`: `socket-hello PORT` listens on 0.0.0.0:PORT.

use std::convert::Infallible;
use std::net::SocketAddr;

use hyper::server::conn::Http;
use hyper::service::service_fn;
use hyper::{Body, Request, Response};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port: u16 =
        std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("usage: socket-hello PORT");
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    println!("ready");
    loop {
        let (client, _) = listener.accept().await?;
        tokio::task::spawn(async move {
            if let Err(error) = Http::new().serve_connection(client, service_fn(hello)).await {
                eprintln!("client: {error}");
            }
        });
    }
}

async fn hello(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("hello\n")))
}
