//! The stand-in for daprd: listens, waits for its app, serves until it is terminated.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use daprd::api::Api;
use daprd::flags::Flags;
use daprd::http::{FullRequest, FullResponse, serve};
use daprd::system::{log, terminated};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.context("no runtime").and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("level=fatal msg={:?}", format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let flags = Flags::parse(std::env::args().skip(1))?;
    log(&format!("starting the stand-in for Dapr's runtime -- app id {:?}", flags.app_id));
    log(&format!("flags without effect here: {:?}", flags.ignored));
    let api = Arc::new(Api::new(flags.clone()));
    let connections = Arc::new(GracefulShutdown::new());
    let mut listening = JoinSet::new();
    for listener in listeners(&flags).await? {
        let api = Arc::clone(&api);
        let answer = move |request| Arc::clone(&api).answer(request);
        listening.spawn(accept(listener, Arc::clone(&connections), answer));
    }
    if let Some(port) = flags.public_port {
        let api = Arc::clone(&api);
        let listener = listen(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).await?;
        let answer = move |request| Arc::clone(&api).answer_publicly(request);
        listening.spawn(accept(listener, Arc::clone(&connections), answer));
    }
    let met = tokio::select! {
        met = async { api.meet_app().await?; std::future::pending().await } => met,
        why = terminated() => why.context("no signals"),
        () = api.ended() => Ok("asked to"),
    };
    log(&format!("dapr shutting down: {}", met?));
    listening.shutdown().await;
    if let Some(connections) = Arc::into_inner(connections) {
        // Requests still running then are cut off.
        drop(timeout(flags.grace, connections.shutdown()).await);
    }
    log("dapr is shutdown");
    Ok(())
}

/// A listener for each address of the API; a pod may have no IPv6, so one is enough.
async fn listeners(flags: &Flags) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in &flags.addresses {
        match listen(*address, flags.http_port).await {
            Ok(listener) => listeners.push(listener),
            Err(error) => log(&format!("{error:#}")),
        }
    }
    if listeners.is_empty() {
        bail!("no address of {:?} can be listened on", flags.addresses);
    }
    Ok(listeners)
}

async fn listen(address: IpAddr, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    log(&format!("HTTP server is running on {address}"));
    Ok(listener)
}

/// Serves each connection to `listener` in a task of its own, until accepting fails.
async fn accept<F, A>(listener: TcpListener, connections: Arc<GracefulShutdown>, answer: F)
where
    F: Fn(FullRequest) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = FullResponse> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, connections.watcher(), answer.clone()));
    }
}
