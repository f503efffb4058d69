//! One question over HTTP to a server in somebody's network.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::net::Net;
use crate::process::SLOW;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `request` to `address` from within `net`, on a connection of its own.
///
/// # Errors
/// When there is no answer in text in time.
pub fn ask(net: &Net, address: SocketAddr, mut request: Request<String>) -> Result<Response<String>> {
    let what = format!("{} {} of {address}", request.method(), request.uri());
    let stream = net.inside(|| Ok(TcpStream::connect_timeout(&address, PATIENCE * *SLOW)?));
    let stream = stream.with_context(|| what.clone())?;
    stream.set_nonblocking(true)?;
    request.headers_mut().insert(HOST, HeaderValue::try_from(address.to_string())?);
    let asked = async {
        let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        anyhow::Ok(Response::from_parts(head, String::from_utf8(body.into())?))
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let answered = runtime.block_on(async { timeout(PATIENCE * *SLOW, asked).await });
    answered.with_context(|| format!("{what}: no answer"))?.with_context(|| what)
}
