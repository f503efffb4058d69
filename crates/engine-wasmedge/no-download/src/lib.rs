//! Replaces the HTTP client of WasmEdge's build script: it fails with an error instead of downloading.
//!
//! `wasmedge-sys` can download WasmEdge if it is built with its feature `standalone`, which is not used here; all the
//! same it pulls `reqwest` 0.11 into every build, and with it HTTP and TLS libraries that are no longer maintained.
//! This has the part of that crate's API that the script uses. No unsafe code.

#![forbid(unsafe_code)]

pub mod blocking;

use thiserror::Error;

/// The error of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a build of Lighter downloads nothing: leave out the feature `standalone` of wasmedge-sys; `make wasmedge` finds WasmEdge"
)]
pub struct Error;

/// A proxy, which is never used.
#[derive(Clone, Copy, Debug)]
pub struct Proxy;

impl Proxy {
    /// Ignores the address.
    ///
    /// # Errors
    /// None: sending fails.
    pub fn all(_address: impl AsRef<std::ffi::OsStr>) -> Result<Self, Error> {
        Ok(Self)
    }

    /// Ignores the name and password.
    #[must_use]
    pub fn basic_auth(self, _user: &str, _password: &str) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_refused_in_a_sentence() {
        let client =
            blocking::Client::builder().proxy(Proxy::all("http://127.0.0.1:9").unwrap()).build().unwrap();
        let error = client.get("http://127.0.0.1:9").timeout(std::time::Duration::ZERO).send().unwrap_err();
        assert!(error.to_string().contains("downloads nothing"), "{error}");
    }
}
