//! What went wrong with a guest's request, in the words of `wasi:http`.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use network::LookupError;
use wasmtime_wasi_http::Error;

use super::connector::ConnectError;

/// The first cause that `wasi:http` has a word for.
pub fn told(error: &hyper_util::client::legacy::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(told) = word(error) {
            return told;
        }
        cause = error.source();
    }
    Error::HttpProtocolError
}

fn word(error: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return match error {
            ConnectError::Lookup(error) => Some(of_lookup(error)),
            ConnectError::Io(error) => of_io(error),
            ConnectError::NoHost => Some(Error::HttpRequestUriInvalid),
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
        Some(Error::HttpResponseIncomplete)
    } else if error.is_parse_too_large() {
        Some(Error::HttpResponseHeaderSectionSize(None))
    } else {
        None
    }
}

fn of_lookup(error: &LookupError) -> Error {
    match error {
        LookupError::NotFound(_) => Error::DnsError { rcode: Some("NXDOMAIN".into()), info_code: None },
        LookupError::Temporary { .. } => Error::DnsTimeout,
        LookupError::Refused(_) => Error::HttpRequestDenied,
        LookupError::Invalid(_) => Error::HttpRequestUriInvalid,
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
            Error::ConnectionTerminated
        }
        ErrorKind::UnexpectedEof => Error::ConnectionTerminated,
        ErrorKind::TimedOut => Error::ConnectionTimeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        _ => return None,
    })
}

fn of_tls(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(_) => Error::TlsCertificateError,
        rustls::Error::AlertReceived(alert) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        _ => Error::TlsProtocolError,
    }
}
