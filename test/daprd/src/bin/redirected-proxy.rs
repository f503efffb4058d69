//! A proxy as a service mesh puts one into a pod: the pod's connections are redirected to it, it looks up their
//! original destination, and marks each request and each answer that passes.
//!
//! `redirected-proxy PORT`

use std::net::{SocketAddr, SocketAddrV4};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use daprd::http::{FullRequest, FullResponse, send, serve, text};
use daprd::system::{log, terminated};
use hyper::StatusCode;
use hyper::header::HeaderValue;
use hyper_util::server::graceful::GracefulShutdown;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::OriginalDst;
use tokio::net::{TcpListener, TcpStream};

/// The header that marks requests and answers.
const MARK: &str = "x-passed-proxy";

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.context("no runtime").and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("redirected-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let port: u16 = std::env::args().nth(1).context("redirected-proxy PORT")?.parse()?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("port {port}"))?;
    log(&format!("ready on port {port}"));
    tokio::select! {
        failed = accept(listener) => failed,
        why = terminated() => { log(&format!("ending: {}", why?)); Ok(()) }
    }
}

async fn accept(listener: TcpListener) -> Result<()> {
    let connections = GracefulShutdown::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let Some(meant) = meant(&stream) else {
            // A client of the proxy itself: a probe.
            let ready = |_| async { text(StatusCode::OK, "ready\n") };
            tokio::spawn(serve(stream, connections.watcher(), ready));
            continue;
        };
        log(&format!("a connection to {meant}"));
        tokio::spawn(serve(stream, connections.watcher(), move |request| pass(meant, request)));
    }
}

/// The destination of the connection before it was redirected, if it was.
fn meant(stream: &TcpStream) -> Option<SocketAddr> {
    let address = getsockopt(stream, OriginalDst).ok()?;
    let ip = u32::from_be(address.sin_addr.s_addr);
    let meant = SocketAddrV4::new(ip.into(), u16::from_be(address.sin_port)).into();
    (stream.local_addr().ok()? != meant).then_some(meant)
}

async fn pass(meant: SocketAddr, mut request: FullRequest) -> FullResponse {
    let mark = HeaderValue::from_static("outbound");
    // Appended, so that a request that passes twice has two marks.
    request.headers_mut().append(MARK, mark.clone());
    match send(meant, request).await {
        Ok(mut answer) => {
            answer.headers_mut().append(MARK, mark);
            answer
        }
        Err(error) => text(StatusCode::BAD_GATEWAY, &format!("{error:#}\n")),
    }
}
