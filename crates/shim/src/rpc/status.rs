//! The gRPC status of a failed request.

use ttrpc::{Code, Error, get_status};

use crate::task::Refusal;

/// A status with a gRPC code and a message.
pub fn status(code: Code, sentence: String) -> Error {
    Error::RpcStatus(get_status(code, sentence))
}

impl From<Refusal> for StatusOf {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Precondition(..) => Code::FAILED_PRECONDITION,
            Refusal::Finished | Refusal::Gone => Code::NOT_FOUND,
        };
        Self(status(code, refusal.to_string()))
    }
}

/// An error converted to the status of an RPC.
pub struct StatusOf(Error);

impl From<anyhow::Error> for StatusOf {
    fn from(error: anyhow::Error) -> Self {
        Self(status(Code::UNKNOWN, format!("{error:#}")))
    }
}

impl From<StatusOf> for Error {
    fn from(StatusOf(error): StatusOf) -> Self {
        error
    }
}
