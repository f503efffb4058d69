//! Components that answer HTTP requests: `wasi:http/incoming-handler`, or `wasi:http/handler` of WASI 0.3.

use serde::{Deserialize, Serialize};

use super::{Outline, Wasi, WorldError};
use crate::wasi;

/// A component whose handler is called for each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpHandler {
    /// The WASI version of its handler.
    pub wasi: Wasi,
    /// See [`Command::concurrent`](super::Command::concurrent).
    pub concurrent: bool,
}

impl HttpHandler {
    /// `None` if it has no handler, or if a function was named.
    pub(super) fn of(outline: &Outline, function: Option<&str>) -> Option<Result<Self, WorldError>> {
        let wasi = match function {
            Some(_) => return None,
            None if outline.exports(wasi::answers_03) => Wasi::P3,
            None if outline.exports(wasi::answers_02) => Wasi::P2,
            None => return None,
        };
        let checked = outline.check_imports(wasi);
        Some(checked.map(|()| Self { wasi, concurrent: outline.concurrent || wasi == Wasi::P3 }))
    }
}
