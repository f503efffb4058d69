//! An app beside a Dapr sidecar: `socket-hyper [PORT]` listens on 0.0.0.0, on the port of the
//! argument, of the variable PORT, or 8080.
//!
//! The sidecar is at `localhost`, port DAPR_HTTP_PORT or 3500. Its answers are passed on, status
//! and body.

mod sidecar;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;

use hyper::body::to_bytes;
use hyper::server::conn::Http;
use hyper::service::service_fn;
use hyper::{Body, Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

const SUBSCRIPTIONS: &str = r#"[{"pubsubname":"pubsub","topic":"orders","route":"/orders"}]"#;

/// The bodies of the received orders, in order.
static ORDERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).or_else(|| std::env::var("PORT").ok());
    let port: u16 = port.map_or(8080, |port| port.parse().expect("a port is a number"));
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    println!("ready");
    loop {
        let (client, _) = listener.accept().await?;
        tokio::task::spawn(async move {
            if let Err(error) = Http::new().serve_connection(client, service_fn(answer)).await {
                eprintln!("client: {error}");
            }
        });
    }
}

async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(switch(request)
        .await
        .unwrap_or_else(|error| respond(StatusCode::BAD_GATEWAY, "text/plain", format!("error: {error}\n"))))
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn switch(request: Request<Body>) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let ok = |kind, text: String| Ok(respond(StatusCode::OK, kind, text));
    match (head.method, path) {
        (Method::GET, "/") => ok("text/plain", "hello\n".into()),
        (Method::GET, "/healthz") => ok("text/plain", String::new()),
        (Method::POST, "/echo") => Ok(Response::new(body)),
        (Method::GET, "/dapr/config") => ok("application/json", "{}".into()),
        (Method::GET, "/dapr/subscribe") => ok("application/json", SUBSCRIPTIONS.into()),
        (Method::POST, "/orders") => {
            let order = text(body).await?;
            ORDERS.lock().expect("one thread").push(order);
            ok("application/json", "{}".into())
        }
        (Method::GET, "/orders") => {
            let orders = ORDERS.lock().expect("one thread");
            ok("text/plain", orders.iter().map(|order| format!("{order}\n")).collect())
        }
        (Method::POST, "/publish") => sidecar::publish(text(body).await?).await,
        (Method::GET, "/fetch") => sidecar::fetch(head.uri.query().unwrap_or_default()).await,
        (method, path) => match (method, path.split_once('/').and_then(|(_, rest)| rest.split_once('/'))) {
            (Method::POST, Some(("state", key))) => sidecar::save(key, &text(body).await?).await,
            (Method::GET, Some(("state", key))) => sidecar::state(key).await,
            (Method::GET, Some(("secret", key))) => sidecar::secret(key).await,
            _ => Ok(respond(StatusCode::NOT_FOUND, "text/plain", "no such path\n".into())),
        },
    }
}

async fn text(body: Body) -> Result<String, Failure> {
    Ok(String::from_utf8(to_bytes(body).await?.to_vec())?)
}

fn respond(status: StatusCode, content_type: &str, text: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Body::from(text))
        .expect("the parts are valid")
}
