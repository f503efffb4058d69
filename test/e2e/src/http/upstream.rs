//! A server for guests' requests, in a container's network: it records the requests, and how many connections came.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::background::Background;
use crate::net::Net;

/// Serves both versions of HTTP until it is dropped. It answers `GET` with `asked for PATH`, and `POST` with the
/// request's body, unless it has a script.
pub struct Upstream {
    /// Its port.
    pub port: u16,
    site: Arc<Site>,
    _serves: Background,
}

/// Maps a request line to a status and a body.
pub type Script = fn(&str) -> (u16, &'static str);

struct Site {
    tls: Option<TlsAcceptor>,
    script: Option<Script>,
    connections: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
}

/// A received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET / HTTP/1.1`.
    pub line: String,
    /// The body, if there is a script.
    pub body: String,
}

impl Upstream {
    /// Serves at any port of 127.0.0.1 in `net`, with TLS if `tls` is given.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn serve(net: &Net, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        Self::start(net, "127.0.0.1:0", tls, None)
    }

    /// Serves at this address, with the answers of `script`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn at(net: &Net, address: &str, script: Option<Script>) -> Result<Self> {
        Self::start(net, address, None, script)
    }

    fn start(
        net: &Net,
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        script: Option<Script>,
    ) -> Result<Self> {
        let listener = net.inside(|| TcpListener::bind(address).context("a server for guests"))?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let tls = tls.map(TlsAcceptor::from);
        let site = Arc::new(Site { tls, script, connections: AtomicUsize::new(0), asked: Mutex::default() });
        let serves = Arc::clone(&site);
        Ok(Self { port, site, _serves: Background::start(|| serves.accept(listener))? })
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.site.connections.load(Ordering::SeqCst)
    }

    /// The received requests, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.site.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Site {
    async fn accept(self: Arc<Self>, listener: TcpListener) -> Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            self.connections.fetch_add(1, Ordering::SeqCst);
            let site = Arc::clone(&self);
            tokio::spawn(async move {
                match site.tls.clone() {
                    None => site.speak(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            site.speak(stream).await;
                        }
                    }
                }
            });
        }
    }

    async fn speak(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let server = auto::Builder::new(TokioExecutor::new());
        let answer = service_fn(move |request| Arc::clone(&self).answer(request));
        // How the connection ends is for the guest to check.
        drop(server.serve_connection(TokioIo::new(stream), answer).await);
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, hyper::Error>>, hyper::Error> {
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        let line = format!("{} {path} {:?}", request.method(), request.version());
        let text = |text: String| Full::from(text).map_err(|never: Infallible| match never {}).boxed();
        let remember = |body| {
            let asked = Asked { line: line.clone(), body };
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        };
        let Some(script) = self.script else {
            remember(String::new());
            let default = format!("asked for {}\n", request.uri().path());
            let echo = request.method() == "POST";
            return Ok(Response::new(if echo { request.into_body().boxed() } else { text(default) }));
        };
        let body = request.into_body().collect().await?.to_bytes();
        remember(String::from_utf8_lossy(&body).into_owned());
        let (status, said) = script(&line);
        let mut response = Response::new(text(said.into()));
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        Ok(response)
    }
}
