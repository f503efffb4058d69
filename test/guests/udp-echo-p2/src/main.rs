//! Echoes datagrams; the datagram `quit` ends it with exit code 7.
//!
//! `udp-echo-p2 PORT`: listens on 127.0.0.1:PORT and prints `ready` once it does.

#[path = "../../exit.rs"]
mod exit;

use std::net::UdpSocket;

const QUIT: u8 = 7;

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("usage: udp-echo-p2 PORT");
    let socket = UdpSocket::bind(("127.0.0.1", port))?;
    println!("ready");
    let mut datagram = [0; 2048];
    loop {
        let (length, peer) = socket.recv_from(&mut datagram)?;
        let datagram = &datagram[..length];
        if datagram.trim_ascii_end() == b"quit" {
            exit::exit(QUIT);
        }
        socket.send_to(datagram, peer)?;
    }
}
