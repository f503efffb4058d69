//! OPA's REST API: `/v1/data`, `/v0/data`, `/health` and `/`. Requests that would change policies or data, or that need
//! what is not compiled, are answered with 501.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use engine::Stopped;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use server::{BodyError, Failure, Handler, Permit, Pool, Pooled, RequestBody};
use tokio::runtime::Builder;

use super::Source;
use super::documents::{Selection, select};
use super::policy::{Failed, Policy};
use super::term::Term;

/// The policy's server.
pub struct Rest {
    source: Source,
    pool: Pool<Policy>,
    entrypoints: BTreeMap<String, u32>,
}

/// A response of the API: status, content type and body.
struct ApiResponse(StatusCode, Option<&'static str>, String);

const JSON: &str = "application/json";

/// The body of a request to `/v1/data`.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// A result in the form of `/v1/data`: no field for an undefined one.
pub fn document(result: Option<&Term>) -> String {
    result.map_or_else(|| "{}".into(), |result| format!("{{\"result\":{}}}", result.json()))
}

impl Rest {
    /// A server whose instances answer `reuse` queries each, each query with an empty heap. Creates a first instance,
    /// to report errors of the policy or its data before any query.
    ///
    /// # Errors
    /// Why it cannot be created.
    pub fn begin(source: Source, reuse: u64) -> anyhow::Result<Self> {
        let runtime =
            Builder::new_current_thread().build().context("cannot set up the guest's event loop")?;
        let entrypoints = runtime.block_on(source.make())?.entrypoints;
        Ok(Self { source, pool: Pool::new(reuse), entrypoints })
    }

    async fn policy(&self) -> Result<Pooled<Policy>, Failed> {
        let policy = self.pool.take(|| async { self.source.make().await.map_err(failure) }).await;
        policy.map_err(|failure| Failed::Stopped(stopped(failure)))
    }

    /// The document at `path` for this input; `None` if it is undefined.
    async fn result(&self, path: &[&str], input: Option<&[u8]>) -> Result<Option<Term>, Failed> {
        let mut policy = self.policy().await?;
        let result = self.evaluate(&mut policy.instance, path, input).await?;
        self.pool.give_back(policy);
        Ok(result)
    }

    async fn evaluate(
        &self,
        policy: &mut Policy,
        path: &[&str],
        input: Option<&[u8]>,
    ) -> Result<Option<Term>, Failed> {
        match select(&self.entrypoints, path) {
            Selection::Within(number, rest) => {
                let result = policy.evaluate(number, input).await?;
                Ok(result.and_then(|result| rest.iter().try_fold(&result, |at, name| at.step(name)).cloned()))
            }
            Selection::Below(all) => {
                let base = self.source.documents.at(path).cloned();
                // A package exists even if none of its rules is defined.
                let mut document = base.or_else(|| (!all.is_empty()).then(Term::empty));
                for (path, number) in all {
                    let result = policy.evaluate(number, input).await?;
                    let Some(document) = &mut document else { continue };
                    match (result, path.split_last()) {
                        (Some(result), _) => document.put(&path, result),
                        (None, Some((_, package))) => document.make(package),
                        (None, None) => {}
                    }
                }
                Ok(document)
            }
        }
    }

    async fn respond(&self, head: &Parts, body: &[u8]) -> Result<ApiResponse, Failed> {
        let parts: Vec<String> = parts(head.uri.path());
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        match (&head.method, parts.as_slice()) {
            (&Method::GET, ["health"]) => Ok(ApiResponse::json("{}".into())),
            (&Method::POST, []) => self.v0(&DECISION, body).await,
            (&Method::POST, ["v0", "data", path @ ..]) => self.v0(path, body).await,
            (&Method::POST, ["v1", "data", path @ ..]) => match input(body) {
                Ok(input) => self.v1(path, input, true).await,
                Err(error) => Ok(invalid(&format!("body contains {error}"))),
            },
            (&Method::GET, ["v1", "data", path @ ..]) => match parameter(head.uri.query(), "input") {
                Some(text) if let Err(error) = serde_json::from_str::<&RawValue>(&text) => {
                    Ok(invalid(&format!("parameter contains malformed input document: {error}")))
                }
                text => self.v1(path, text.as_ref().map(String::as_bytes), false).await,
            },
            (_, ["v1", "policies" | "query" | "compile" | "config" | "status", ..])
            | (&Method::PUT | &Method::PATCH | &Method::DELETE, ["v1", "data", _, ..]) => {
                Ok(ApiResponse::error(
                    StatusCode::NOT_IMPLEMENTED,
                    "not_implemented",
                    "a compiled policy cannot be changed, and answers queries for its documents only",
                ))
            }
            (_, ["health"] | [] | ["v0" | "v1", "data", ..]) => {
                Ok(ApiResponse::bare(StatusCode::METHOD_NOT_ALLOWED, ""))
            }
            _ => Ok(ApiResponse::bare(StatusCode::NOT_FOUND, "404 page not found\n")),
        }
    }

    async fn v1(&self, path: &[&str], input: Option<&[u8]>, warns: bool) -> Result<ApiResponse, Failed> {
        let result = self.result(path, input).await?;
        let mut text = document(result.as_ref());
        if warns && input.is_none() {
            text.pop();
            text.push_str(if result.is_some() { "," } else { "" });
            text.push_str(WARNING);
            text.push('}');
        }
        Ok(ApiResponse::json(text))
    }

    /// The body is the input, and the response is the bare result.
    async fn v0(&self, path: &[&str], body: &[u8]) -> Result<ApiResponse, Failed> {
        let input = if body.trim_ascii().is_empty() { b"null" } else { body };
        if let Err(error) = serde_json::from_slice::<&RawValue>(input) {
            return Ok(invalid(&format!(
                "unexpected parse error for input: body contains malformed input document: {error}"
            )));
        }
        if let Some(result) = self.result(path, Some(input)).await? {
            return Ok(ApiResponse::json(result.json()));
        }
        let is_rule = matches!(select(&self.entrypoints, path), Selection::Within(..));
        let why = if is_rule { "undefined" } else { "missing" };
        let message = format!("document {why}: data.{}", path.join("."));
        Ok(ApiResponse::error(StatusCode::NOT_FOUND, "undefined_document", &message))
    }
}

/// The path of a query without one: the default decision of OPA's configuration.
const DECISION: [&str; 2] = ["system", "main"];
const WARNING: &str =
    r#""warning":{"code":"api_usage_warning","message":"'input' key missing from the request"}"#;

/// The components of a request's path.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
}

/// The value of a parameter of a query string.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The input in a body of `/v1/data`; none in an empty body.
fn input(body: &[u8]) -> Result<Option<&[u8]>, String> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let body: Body<'_> =
        serde_json::from_slice(body).map_err(|error| format!("malformed input document: {error}"))?;
    Ok(body.input.map(|input| input.get().as_bytes()))
}

fn invalid(message: &str) -> ApiResponse {
    ApiResponse::error(StatusCode::BAD_REQUEST, "invalid_parameter", message)
}

impl ApiResponse {
    fn json(document: String) -> Self {
        Self(StatusCode::OK, Some(JSON), document + "\n")
    }

    fn bare(status: StatusCode, text: &str) -> Self {
        Self(status, (!text.is_empty()).then_some("text/plain; charset=utf-8"), text.to_owned())
    }

    fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self::failure(status, &json!({ "code": code, "message": message }))
    }

    /// Errors are always pretty-printed.
    fn failure(status: StatusCode, error: &Value) -> Self {
        Self(status, Some(JSON), format!("{error:#}\n"))
    }

    fn into_response(self, pretty: bool) -> Response<Full<Bytes>> {
        let Self(status, kind, text) = self;
        let printed = || Some(format!("{:#}\n", serde_json::from_str::<Value>(&text).ok()?));
        let printed = (pretty && kind == Some(JSON)).then(printed).flatten().unwrap_or(text);
        let mut response = Response::new(Full::new(printed.into()));
        *response.status_mut() = status;
        if let Some(kind) = kind {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        response
    }
}

impl Handler for Rest {
    type Body = Full<Bytes>;

    async fn handle(
        self: Arc<Self>,
        request: Request<RequestBody>,
        permit: Permit,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        permit.begin();
        let (head, body) = request.into_parts();
        let response = match body.collect().await {
            Ok(body) => match self.respond(&head, &body.to_bytes()).await {
                Err(Failed::Aborted(words)) => {
                    Failure::Declined(words.clone()).log("while it answered a query");
                    ApiResponse::failure(StatusCode::INTERNAL_SERVER_ERROR, &aborted(&words))
                }
                Err(failed) => return Err(failure(failed)),
                Ok(response) => response,
            },
            Err(BodyError::TooLong) => invalid("request body too large"),
            Err(_) => invalid("the request's body did not come"),
        };
        let pretty =
            parameter(head.uri.query(), "pretty").is_some_and(|value| !value.eq_ignore_ascii_case("false"));
        Ok(response.into_response(pretty))
    }
}

/// The error for the client when a policy aborts with the message `FILE:ROW:COLUMN: WHY`, as OPA words it.
fn aborted(words: &str) -> Value {
    let mut error =
        json!({ "code": "internal_error", "message": "error(s) occurred while evaluating query" });
    let mut parts = words.splitn(4, ':');
    let mut next = || parts.next().map(str::trim).unwrap_or_default();
    let (file, row, column, why) = (next(), next(), next(), next());
    let conflict = match why {
        "var assignment conflict" => "complete rules must not produce multiple outputs",
        "object insert conflict" => "object keys must be unique",
        _ => return error,
    };
    if let (Ok(row), Ok(column)) = (row.parse::<u32>(), column.parse::<u32>()) {
        error["errors"] = json!([{
            "code": "eval_conflict_error",
            "message": conflict,
            "location": { "file": file, "row": row, "col": column },
        }]);
    }
    error
}

/// Maps a failure of the pool back.
fn stopped(failure: Failure) -> Stopped {
    match failure {
        Failure::NoRoom(reason) => Stopped::NoRoom(reason),
        Failure::Trapped(story) | Failure::Declined(story) => Stopped::Trap(story),
        Failure::Silent => Stopped::Trap("it is silent".into()),
    }
}

fn failure(failed: Failed) -> Failure {
    match failed {
        Failed::Stopped(Stopped::NoRoom(reason)) => Failure::NoRoom(reason),
        Failed::Stopped(Stopped::Trap(story) | Stopped::OutOfMemory(story)) => Failure::Trapped(story),
        other => Failure::Declined(other.to_string()),
    }
}
