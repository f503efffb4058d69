//! Names and TCP, through wasi:sockets itself: the standard library would hide the error codes.

use std::net::{Ipv4Addr, Ipv6Addr};

use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::pipe;

const ANSWER: u64 = 4096;

/// The answer for an error.
pub fn error(error: ErrorCode) -> String {
    format!("error: {}\n", error.name())
}

/// The addresses of a name, one per line.
pub fn addresses(name: &str) -> Result<String, ErrorCode> {
    Ok(resolve(name)?.into_iter().map(|address| text(address) + "\n").collect())
}

/// Connects to `HOST:PORT`, at the first of its addresses that accepts the connection, and sends
/// `ping`. Reads until the end or a full line.
pub fn ping(target: &str) -> Result<String, ErrorCode> {
    let (host, port) = target.rsplit_once(':').ok_or(ErrorCode::InvalidArgument)?;
    let port = port.parse().map_err(|_| ErrorCode::InvalidArgument)?;
    let mut last = ErrorCode::NameUnresolvable;
    for address in resolve(host)? {
        match connect(address, port) {
            Ok((_socket, from, to)) => return talk(&from, &to),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn talk(from: &InputStream, to: &OutputStream) -> Result<String, ErrorCode> {
    pipe::write(to, b"ping\n").map_err(|_| ErrorCode::ConnectionReset)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") {
        match from.blocking_read(ANSWER) {
            Ok(chunk) => answer.extend(chunk),
            Err(_) => break,
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn connect(address: IpAddress, port: u16) -> Result<(TcpSocket, InputStream, OutputStream), ErrorCode> {
    let (family, remote) = match address {
        IpAddress::Ipv4(address) => {
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }))
        }
        IpAddress::Ipv6(address) => (
            IpAddressFamily::Ipv6,
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 }),
        ),
    };
    let socket = create_tcp_socket(family)?;
    socket.start_connect(&instance_network(), remote)?;
    loop {
        match socket.finish_connect() {
            Ok((from, to)) => return Ok((socket, from, to)),
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            Err(error) => return Err(error),
        }
    }
}

fn resolve(name: &str) -> Result<Vec<IpAddress>, ErrorCode> {
    let stream = resolve_addresses(&instance_network(), name)?;
    let mut addresses = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Ok(Some(address)) => addresses.push(address),
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
            Err(error) => return Err(error),
        }
    }
}

fn text(address: IpAddress) -> String {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).to_string(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string(),
    }
}
