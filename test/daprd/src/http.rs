//! HTTP/1 server and client with whole bodies.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// A request with all of its body.
pub type FullRequest = Request<Bytes>;
/// An answer with all of its body.
pub type FullResponse = Response<Bytes>;

/// Serves one connection until it ends or `watcher` is shut down.
pub async fn serve<F, A>(stream: TcpStream, watcher: Watcher, answer: F)
where
    F: Fn(FullRequest) -> A,
    A: Future<Output = FullResponse>,
{
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        let answered = match body.collect().await {
            Ok(body) => answer(Request::from_parts(head, body.to_bytes())).await,
            Err(error) => text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        };
        Ok::<_, Infallible>(answered.map(Full::new))
    });
    let connection = server::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A client that disconnects early is no error.
    drop(watcher.watch(connection).await);
}

/// Sends `request` to `address` on a connection of its own.
///
/// # Errors
/// When the connection or the answer fails.
pub async fn send(address: SocketAddr, request: FullRequest) -> Result<FullResponse> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    let (mut sender, connection) =
        client::handshake(TokioIo::new(stream)).await.with_context(|| address.to_string())?;
    // Its errors also fail the request.
    tokio::spawn(connection);
    let answer = sender.send_request(request.map(Full::new)).await.with_context(|| address.to_string())?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.with_context(|| format!("the body of {address}'s answer"))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> FullResponse {
    with(status, "", Bytes::new())
}

/// An answer in plain text.
pub fn text(status: StatusCode, text: &str) -> FullResponse {
    with(status, "text/plain", text.to_owned().into())
}

/// An answer in JSON.
pub fn json(status: StatusCode, value: &Value) -> FullResponse {
    with(status, "application/json", value.to_string().into())
}

/// An error in Dapr's form.
pub fn refusal(status: StatusCode, code: &str, message: &str) -> FullResponse {
    json(status, &json!({ "errorCode": code, "message": message }))
}

fn with(status: StatusCode, content_type: &'static str, body: Bytes) -> FullResponse {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    if !content_type.is_empty() {
        let value = hyper::header::HeaderValue::from_static(content_type);
        answer.headers_mut().insert(hyper::header::CONTENT_TYPE, value);
    }
    answer
}
