//! The host's services beside requests: files, names, connections, other servers, a log.

use std::fmt::Write as _;

use wasip3::cli::{stderr, stdout};
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{self as files, DescriptorFlags, OpenFlags, PathFlags};
use wasip3::http::client::send;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::sockets::ip_name_lookup::{self as names, resolve_addresses};
use wasip3::sockets::types::{self as sockets, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip3::{wit_future, wit_stream};

/// The contents of a file, by a path from the root.
pub async fn file(path: &str) -> Result<String, files::ErrorCode> {
    let (root, _) = get_directories().into_iter().next().ok_or(files::ErrorCode::NoEntry)?;
    let path = path.trim_start_matches('/').to_owned();
    let file = root.open_at(PathFlags::empty(), path, OpenFlags::empty(), DescriptorFlags::READ).await?;
    let (bytes, read) = file.read_via_stream(0);
    let contents = bytes.collect().await;
    read.await?;
    Ok(String::from_utf8_lossy(&contents).into_owned())
}

/// The addresses of a host, one per line.
pub async fn lookup(name: &str) -> Result<String, names::ErrorCode> {
    let mut lines = String::new();
    for address in resolve_addresses(name.to_owned()).await? {
        let address: std::net::IpAddr = match address {
            IpAddress::Ipv4((a, b, c, d)) => [a, b, c, d].into(),
            IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => [a, b, c, d, e, f, g, h].into(),
        };
        let _ = writeln!(lines, "{address}");
    }
    Ok(lines)
}

/// Connects to an IPv4 address and port.
pub async fn connect(to: &str) -> Result<String, sockets::ErrorCode> {
    let to: std::net::SocketAddrV4 = to.parse().map_err(|_| sockets::ErrorCode::InvalidArgument)?;
    let [a, b, c, d] = to.ip().octets();
    let to = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: to.port(), address: (a, b, c, d) });
    let socket = sockets::TcpSocket::create(IpAddressFamily::Ipv4)?;
    socket.connect(to).await?;
    Ok("connected\n".into())
}

/// A server's answer, its body passed on as it comes.
pub async fn get(url: &str) -> Result<Response, ErrorCode> {
    let (scheme, rest) = url.split_once("://").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (_, no_trailers) = wit_future::new(|| Ok(None));
    let (request, _) = Request::new(Fields::new(), None, no_trailers, None);
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let set = request.set_scheme(Some(&scheme));
    let set = set.and_then(|()| request.set_authority(Some(authority)));
    set.and_then(|()| request.set_path_with_query(Some(path))).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let answer = send(request).await?;
    let status = answer.get_status_code();
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(answer, done);
    let (passed, _) = Response::new(Fields::new(), Some(body), trailers);
    // A received status is valid.
    let _ = passed.set_status_code(status);
    Ok(passed)
}

/// Writes a line to both standard streams.
pub async fn log(line: &str) {
    for write in [stdout::write_via_stream, stderr::write_via_stream] {
        let (mut writer, bytes) = wit_stream::new();
        let written = write(bytes);
        writer.write_all(format!("{line}\n").into_bytes()).await;
        drop(writer);
        // There is no one to report a failure to.
        let _ = written.await;
    }
}
