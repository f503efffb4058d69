//! What WasmEdge's build script finds in the place of its HTTP client: it downloads nothing, and says so.
//!
//! `wasmedge-sys` can fetch WasmEdge itself when it is built with its feature `standalone`, which nobody here asks
//! for; all the same it brings `reqwest` 0.11 into every build, and with it HTTP and TLS libraries of years ago that
//! get no more repairs. This has as much of that crate's shape as the script names. No unsafe code.

#![forbid(unsafe_code)]

pub mod blocking;

use thiserror::Error;

/// The one answer there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a build of Lighter downloads nothing: leave out the feature `standalone` of wasmedge-sys; `make wasmedge` finds WasmEdge"
)]
pub struct Error;

/// A proxy, which is never asked.
#[derive(Clone, Copy, Debug)]
pub struct Proxy;

impl Proxy {
    /// Takes any address.
    ///
    /// # Errors
    /// None: the request is what fails.
    pub fn all(_address: impl AsRef<std::ffi::OsStr>) -> Result<Self, Error> {
        Ok(Self)
    }

    /// Takes any name and password.
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
