//! A client with all of HTTP/1.1 and HTTP/2: hyper.

use std::future::Future;
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderValue};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{connect, limit};
use crate::net::Net;

/// A body that is complete from the start.
pub type Text = Full<Bytes>;

/// Runs `work` to its end, in a runtime of its own.
///
/// # Errors
/// Those of the work, or that it took too long.
pub fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { timeout(limit(), work).await.context("it took too long")? })
}

/// `stream` for [`h1`], [`h2`] or TLS. Needs a runtime.
///
/// # Errors
/// When it cannot be registered.
pub fn io(stream: TcpStream) -> Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    Ok(tokio::net::TcpStream::from_std(stream)?)
}

/// A connection of HTTP/1.1.
///
/// # Errors
/// When the connection is broken.
pub async fn h1<B>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<http1::SendRequest<B>>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A connection of HTTP/2 with prior knowledge.
///
/// # Errors
/// When the server does not speak it.
pub async fn h2<B>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<http2::SendRequest<B>>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A request for `path`, for either version.
///
/// # Errors
/// When that is no valid path.
pub fn get(path: &str) -> Result<Request<Text>> {
    let request = Request::get(format!("http://test{path}")).header("host", "test");
    Ok(request.body(Text::default())?)
}

/// Sends `request` to `address` from within `net`, on a connection of its own.
///
/// # Errors
/// When there is no answer in UTF-8 in time.
pub fn ask(net: &Net, address: SocketAddr, mut request: Request<String>) -> Result<Response<String>> {
    let what = format!("{} {} of {address}", request.method(), request.uri());
    request.headers_mut().insert(HOST, HeaderValue::try_from(address.to_string())?);
    let asked = connect(net, address).and_then(|stream| {
        wait(async {
            let (head, body) = h1(io(stream)?).await?.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Response::from_parts(head, String::from_utf8(body.into())?))
        })
    });
    asked.context(what)
}

/// A response's status, text and trailers.
///
/// # Errors
/// When it is truncated.
pub async fn whole(response: Response<Incoming>) -> Result<(u16, String, HeaderMap)> {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned(), trailers))
}
