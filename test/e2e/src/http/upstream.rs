//! A server for guests to ask, in a container's network: it counts the connections that come to it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::net::Net;

/// It serves until it is dropped. `GET` is answered with `asked for PATH`, `POST` with what was posted.
pub struct Upstream {
    /// Its port on 127.0.0.1.
    pub port: u16,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Said = Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible>;

impl Upstream {
    /// Serves in `net`, with TLS if `tls` says how.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn serve(net: &Net, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener =
            net.inside(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a server for guests"))?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let connections = Arc::default();
        let count = Arc::clone(&connections);
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, tls, &count) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { port, connections, stop: Some(stop), thread: Some(thread) })
    }

    /// How many connections have come.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has told so.
            drop(thread.join());
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, count: &AtomicUsize) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        count.fetch_add(1, Ordering::SeqCst);
        match tls.clone() {
            None => drop(tokio::spawn(speak(stream))),
            Some(config) => drop(tokio::spawn(async move {
                if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                    speak(stream).await;
                }
            })),
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin) {
    // How it ends is the guest's affair.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await);
}

async fn answer(request: Request<Incoming>) -> Said {
    Ok(Response::new(match request.method().as_str() {
        "POST" => request.into_body().boxed(),
        _ => {
            let text = format!("asked for {}\n", request.uri().path());
            Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
        }
    }))
}
