//! The client: built like any other, it fails when it is to send.

use std::convert::Infallible;
use std::io::{self, Read};
use std::time::Duration;

use crate::{Error, Proxy};

/// A client.
#[derive(Clone, Copy, Debug)]
pub struct Client;

/// A builder of clients.
#[derive(Clone, Copy, Debug)]
pub struct ClientBuilder;

/// A request that is not sent.
#[derive(Clone, Copy, Debug)]
pub struct RequestBuilder;

/// A response, of which there is none.
#[derive(Clone, Copy, Debug)]
pub struct Response(Infallible);

impl Client {
    /// A builder.
    pub fn builder() -> ClientBuilder {
        ClientBuilder
    }

    /// A request to any address.
    pub fn get(&self, _address: &str) -> RequestBuilder {
        RequestBuilder
    }
}

impl ClientBuilder {
    /// Ignores the proxy.
    #[must_use]
    pub fn proxy(self, _proxy: Proxy) -> Self {
        self
    }

    /// The client.
    ///
    /// # Errors
    /// None: sending fails.
    pub fn build(self) -> Result<Client, Error> {
        Ok(Client)
    }
}

impl RequestBuilder {
    /// Ignores the time-out.
    #[must_use]
    pub fn timeout(self, _time: Duration) -> Self {
        self
    }

    /// Sends nothing.
    ///
    /// # Errors
    /// [`Error`], always.
    pub fn send(self) -> Result<Response, Error> {
        Err(Error)
    }
}

impl Read for Response {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}
