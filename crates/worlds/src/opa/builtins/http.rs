//! `http.send`: a request by the guest's own client, within its egress rules.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use client::{Deadlines, Error};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Map, Value, json};

use super::{text, time};
use crate::opa::host::PolicyState;

/// The maximum length of a response's body, in bytes.
const MAX_BODY: usize = 32 << 20;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends the request that the argument describes. Within a query, the same request is sent only once.
///
/// # Errors
/// Why the request is not valid; why there is no response, unless the request has `raise_error: false`: then the result
/// describes the error.
pub async fn send(host: &mut PolicyState, given: &[Value]) -> anyhow::Result<Value> {
    let described = given.first().and_then(Value::as_object).context("not an object")?;
    let key = format!("http.send {}", Value::Object(described.clone()));
    if let Some(cached) = host.query.cached.get(&key) {
        return Ok(cached.clone());
    }
    let result = match sent(host, described).await {
        Ok(result) => result,
        Err(error) if described.get("raise_error") == Some(&Value::Bool(false)) => json!({
            "status_code": 0,
            "error": { "code": "eval_http_send_network_error", "message": format!("{error:#}") },
        }),
        Err(error) => return Err(error),
    };
    host.query.cached.insert(key, result.clone());
    Ok(result)
}

async fn sent(host: &PolicyState, described: &Map<String, Value>) -> anyhow::Result<Value> {
    let request = request(described)?;
    let timeout = timeout(described)?;
    let deadlines = Deadlines { connect: timeout, first_byte: timeout, between_bytes: timeout };
    let exchange = async {
        let response = host.outside.client.send(request, deadlines).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the response cannot be read: {error}"))?;
        anyhow::Ok((head, body.to_bytes()))
    };
    let (head, body) =
        tokio::time::timeout(timeout, exchange).await.map_err(|_| Error::ResponseTimeout)??;
    let raw = String::from_utf8_lossy(&body);
    let is_json =
        head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let decode = is_json || described.get("force_json_decode") == Some(&Value::Bool(true));
    let mut headers = Map::new();
    for (name, value) in &head.headers {
        let values = headers.entry(name.as_str()).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(String::from_utf8_lossy(value.as_bytes()).into());
        }
    }
    Ok(json!({
        "status": head.status.to_string(),
        "status_code": head.status.as_u16(),
        "headers": headers,
        "body": if decode { serde_json::from_slice(&body).unwrap_or(Value::Null) } else { Value::Null },
        "raw_body": raw,
    }))
}

fn request(described: &Map<String, Value>) -> anyhow::Result<Request<Full<Bytes>>> {
    let field = |name: &str| described.get(name).cloned();
    for name in [
        "tls_client_cert",
        "tls_client_cert_file",
        "tls_ca_cert",
        "tls_ca_cert_file",
        "tls_insecure_skip_verify",
    ] {
        ensure!(
            field(name).is_none_or(|value| value == false),
            "{name} is not here: SSL_CERT_FILE names whom TLS trusts"
        );
    }
    let method = text(&[field("method").context("method is missing")?], 0)?.to_ascii_uppercase();
    let uri: Uri = text(&[field("url").context("url is missing")?], 0)?.parse()?;
    ensure!(uri.scheme().is_some(), "the url has no scheme");
    let body = match (field("raw_body"), field("body")) {
        (Some(Value::String(raw)), _) => raw.into_bytes(),
        (Some(_), _) => bail!("raw_body is not a string"),
        (None, Some(body)) => serde_json::to_vec(&body)?,
        (None, None) => Vec::new(),
    };
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = Method::from_bytes(method.as_bytes())?;
    *request.uri_mut() = uri;
    for (name, value) in field("headers").as_ref().and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().context("a header is not a string")?;
        request.headers_mut().insert(HeaderName::from_bytes(name.as_bytes())?, value.parse()?);
    }
    Ok(request)
}

/// Nanoseconds, or a string such as `2s`.
fn timeout(described: &Map<String, Value>) -> anyhow::Result<Duration> {
    let ns = match described.get("timeout") {
        None => return Ok(TIMEOUT),
        Some(Value::String(text)) => time::duration(text)?,
        Some(number) => super::integer(std::slice::from_ref(number), 0)?,
    };
    Ok(if ns == 0 { TIMEOUT } else { Duration::from_nanos(u64::try_from(ns)?) })
}
