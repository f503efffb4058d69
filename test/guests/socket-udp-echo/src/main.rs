//! Echoes datagrams: `socket-udp-echo PORT` listens on 0.0.0.0:PORT and prints the sender of each
//! datagram; the datagram `quit` ends it with 7.

use std::net::SocketAddr;
use std::process::ExitCode;

use wasmedge_wasi_socket::UdpSocket;

const QUIT: u8 = 7;

fn main() -> std::io::Result<ExitCode> {
    let port: u16 =
        std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("usage: socket-udp-echo PORT");
    let socket = UdpSocket::bind(SocketAddr::from(([0, 0, 0, 0], port)))?;
    println!("ready");
    let mut datagram = [0; 2048];
    loop {
        let (length, peer) = socket.recv_from(&mut datagram)?;
        let datagram = &datagram[..length];
        println!("{length} bytes from {peer}");
        if datagram.trim_ascii_end() == b"quit" {
            return Ok(QUIT.into());
        }
        if let Err(error) = socket.send_to(datagram, peer) {
            eprintln!("{peer}: {error}");
        }
    }
}
