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
    /// The URI names no host, or an invalid one.
    #[error("the request's URI names no host")]
    InvalidUri,
    /// The host has no address.
    #[error("its host has no address")]
    NameNotFound,
    /// No name server answers at present.
    #[error("no name server answers for its host")]
    NameUnknown,
    /// The egress rules do not allow the host.
    #[error("the guest may not reach its host")]
    Denied,
    /// The server refused the connection.
    #[error("the connection was refused")]
    ConnectionRefused,
    /// No route to the host.
    #[error("no route leads to its host")]
    Unroutable,
    /// Connecting timed out.
    #[error("there was no connection in time")]
    ConnectTimeout,
    /// The connection ended.
    #[error("the connection was closed")]
    ConnectionClosed,
    /// No trusted authority signed the server's certificate.
    #[error("the server's certificate is not trusted")]
    Certificate,
    /// The server ended TLS with an alert: its number and name.
    #[error("the server ended TLS: {1}")]
    TlsAlert(u8, String),
    /// The server's TLS is invalid or unsupported.
    #[error("the server speaks no TLS that is understood here")]
    Tls,
    /// The response ended early.
    #[error("the response is not whole")]
    Incomplete,
    /// Its head is too large.
    #[error("the response's head is too large")]
    HeadTooLarge,
    /// Its head did not arrive in time.
    #[error("there was no response in time")]
    ResponseTimeout,
    /// A part of its body did not arrive in time.
    #[error("the response stood still")]
    ReadTimeout,
    /// The response is not valid HTTP.
    #[error("the response is not HTTP")]
    Protocol,
    /// Any other error of hyper's on a body.
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

/// The first error in the chain of causes that maps to a variant.
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
    // TLS errors come wrapped in an io::Error, which hyper-rustls wraps once more; `source` skips wrapped errors.
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
