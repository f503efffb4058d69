//! Echoes lines over TCP; the line `quit` ends the server with exit code 7.
//!
//! `tcp-echo-p2 PORT`: listens on 127.0.0.1:PORT and prints `ready` once it does. It serves one
//! client at a time.

#[path = "../../exit.rs"]
mod exit;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

const QUIT: u8 = 7;

fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .expect("usage: tcp-echo-p2 PORT");
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("ready");
    for client in listener.incoming() {
        if let Err(error) = echo(&client?) {
            eprintln!("client: {error}");
        }
    }
    Ok(())
}

fn echo(mut client: &TcpStream) -> std::io::Result<()> {
    for line in BufReader::new(client).lines() {
        let line = line?;
        if line == "quit" {
            exit::exit(QUIT);
        }
        writeln!(client, "{line}")?;
    }
    Ok(())
}
