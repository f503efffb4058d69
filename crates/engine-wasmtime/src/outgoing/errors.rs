//! Maps the errors of a guest's request to those of `wasi:http`.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

/// Links `http-error-code`: Wasmtime's own expects another error type than its bodies fail with.
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
        Error::HttpRequestBodySize(max) => ErrorCode::HttpRequestBodySize(*max),
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::Hyper(error) if error.is_incomplete_message() => ErrorCode::ConnectionTerminated,
        _ => ErrorCode::HttpProtocolError,
    }
}

/// Why there is no response, or why it ends early.
pub fn of_client(error: client::Error) -> Error {
    use client::Error as Client;
    match error {
        Client::NoTrust(sentence) => Error::InternalError(Some(sentence)),
        Client::InvalidUri => Error::HttpRequestUriInvalid,
        Client::NameNotFound => Error::DnsError { rcode: Some("NXDOMAIN".into()), info_code: None },
        Client::NameUnknown => Error::DnsTimeout,
        Client::Denied => Error::HttpRequestDenied,
        Client::ConnectionRefused => Error::ConnectionRefused,
        Client::Unroutable => Error::DestinationIpUnroutable,
        Client::ConnectTimeout => Error::ConnectionTimeout,
        Client::ConnectionClosed => Error::ConnectionTerminated,
        Client::Certificate => Error::TlsCertificateError,
        Client::TlsAlert(id, name) => {
            Error::TlsAlertReceived { alert_id: Some(id), alert_message: Some(name) }
        }
        Client::Tls => Error::TlsProtocolError,
        Client::Incomplete => Error::HttpResponseIncomplete,
        Client::HeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
        Client::ResponseTimeout => Error::HttpResponseTimeout,
        Client::ReadTimeout => Error::ConnectionReadTimeout,
        Client::Protocol => Error::HttpProtocolError,
        Client::Body(error) => Error::Hyper(error),
    }
}
