//! What went wrong with a guest's request, in the words of `wasi:http`.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use network::LookupError;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

use super::connector::ConnectError;

/// Links what tells a guest why it cannot read on: Wasmtime's own looks for another type than its bodies fail with.
///
/// # Errors
/// When the linker does not take it.
pub fn link<T: WasiView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:http/types@0.2.12")?.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, T>, (error,): (Resource<wasmtime::Error>,)| {
            let error = store.data_mut().ctx().table.get(&error)?;
            Ok((error.downcast_ref::<Error>().map(of_body),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn of_body(error: &Error) -> ErrorCode {
    match error {
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::HttpRequestBodySize(most) => ErrorCode::HttpRequestBodySize(*most),
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::Hyper(error) if error.is_incomplete_message() => ErrorCode::ConnectionTerminated,
        _ => ErrorCode::HttpProtocolError,
    }
}

/// Why there is no answer.
pub fn told(error: &hyper_util::client::legacy::Error) -> Error {
    first_word(error).unwrap_or(Error::HttpProtocolError)
}

/// Why the body of an answer ends early.
pub fn of_answer(error: hyper::Error) -> Error {
    first_word(&error).unwrap_or(Error::Hyper(error))
}

/// The first cause that `wasi:http` has a word for.
fn first_word(error: &(dyn StdError + 'static)) -> Option<Error> {
    word(error).or_else(|| first_word(error.source()?))
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
