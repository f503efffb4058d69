//! Why a request has no response, or only a part of one.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use network::LookupError;
use thiserror::Error;

use crate::connector::ConnectError;

/// What went wrong with a request.
#[derive(Debug, Error)]
pub enum Error {
    /// The file of certificates that the guest names cannot be used.
    #[error("{0}")]
    NoTrust(String),
    /// The URI names no host, or one that is no name.
    #[error("the request's URI names no host")]
    InvalidUri,
    /// The host has no address.
    #[error("its host has no address")]
    NameNotFound,
    /// No name server answers just now.
    #[error("no name server answers for its host")]
    NameUnknown,
    /// What the guest may reach leaves it out.
    #[error("the guest may not reach its host")]
    Denied,
    /// Nobody listens there.
    #[error("the connection was refused")]
    ConnectionRefused,
    /// No network leads there.
    #[error("no route leads to its host")]
    Unroutable,
    /// There was no connection in time.
    #[error("there was no connection in time")]
    ConnectTimeout,
    /// The connection ended.
    #[error("the connection was closed")]
    ConnectionClosed,
    /// Nobody who is trusted vouches for the server.
    #[error("the server's certificate is not trusted")]
    Certificate,
    /// The server ended TLS by an alert: its number and name.
    #[error("the server ended TLS: {1}")]
    TlsAlert(u8, String),
    /// What came was not TLS as it should be.
    #[error("the server speaks no TLS that is understood here")]
    Tls,
    /// The response ended early.
    #[error("the response is not whole")]
    Incomplete,
    /// Its head is too large.
    #[error("the response's head is too large")]
    HeadTooLarge,
    /// Its head did not come in time.
    #[error("there was no response in time")]
    ResponseTimeout,
    /// A part of its body did not come in time.
    #[error("the response stood still")]
    ReadTimeout,
    /// What came was not HTTP.
    #[error("the response is not HTTP")]
    Protocol,
    /// What else hyper says of a body.
    #[error(transparent)]
    Body(hyper::Error),
}

impl Error {
    /// Why there is no response.
    pub(crate) fn of(error: &hyper_util::client::legacy::Error) -> Self {
        first_known(error).unwrap_or(Self::Protocol)
    }

    /// Why a response's body ends early.
    pub(crate) fn of_body(error: hyper::Error) -> Self {
        first_known(&error).unwrap_or(Self::Body(error))
    }
}

/// The first cause that has a name here.
fn first_known(error: &(dyn StdError + 'static)) -> Option<Error> {
    known(error).or_else(|| first_known(error.source()?))
}

fn known(error: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return match error {
            ConnectError::Lookup(error) => Some(of_lookup(error)),
            ConnectError::Io(error) => of_io(error),
            ConnectError::NoHost => Some(Error::InvalidUri),
        };
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_io(error);
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_incomplete_message() {
        Some(Error::Incomplete)
    } else if error.is_parse_too_large() {
        Some(Error::HeadTooLarge)
    } else {
        None
    }
}

fn of_lookup(error: &LookupError) -> Error {
    match error {
        LookupError::NotFound(_) => Error::NameNotFound,
        LookupError::Temporary { .. } => Error::NameUnknown,
        LookupError::Refused(_) => Error::Denied,
        LookupError::Invalid(_) => Error::InvalidUri,
    }
}

fn of_io(error: &io::Error) -> Option<Error> {
    // TLS comes wrapped in it, and hyper-rustls wraps that once more; `source` passes over what is wrapped.
    if let Some(inner) = error.get_ref() {
        if let Some(inner) = inner.downcast_ref::<rustls::Error>() {
            return Some(of_tls(inner));
        }
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            return of_io(inner);
        }
    }
    Some(match error.kind() {
        ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Error::ConnectionClosed
        }
        ErrorKind::UnexpectedEof => Error::ConnectionClosed,
        ErrorKind::TimedOut => Error::ConnectTimeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Error::Unroutable,
        _ => return None,
    })
}

fn of_tls(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(_) => Error::Certificate,
        rustls::Error::AlertReceived(alert) => Error::TlsAlert(u8::from(*alert), format!("{alert:?}")),
        _ => Error::Tls,
    }
}
