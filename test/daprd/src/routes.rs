//! Records the requested routes and the clients, so that the tests know what an SDK really does.

use std::sync::{Mutex, PoisonError};

use hyper::header::USER_AGENT;
use serde_json::{Value, json};

use crate::http::FullRequest;

/// Each route once for each client, in the order of the first requests.
#[derive(Default)]
pub struct Routes(Mutex<Vec<[String; 2]>>);

impl Routes {
    /// Records a request.
    pub fn note(&self, request: &FullRequest) {
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let entry =
            [format!("{} {}", request.method(), request.uri().path()), agent.unwrap_or_default().into()];
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }

    /// All of them: `[{"route": "GET /v1.0/metadata", "agent": "…"}, …]`.
    pub fn json(&self) -> Value {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|[route, agent]| json!({ "route": route, "agent": agent })).collect()
    }
}
