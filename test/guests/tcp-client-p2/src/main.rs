//! Sends one line over TCP and prints the answer.
//!
//! `tcp-client-p2 PORT WORD...`: connects to 127.0.0.1:PORT, retrying for five seconds, since the
//! server may be another container of the pod that is still starting.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let port = args
        .next()
        .and_then(|port| port.parse().ok())
        .expect("usage: tcp-client-p2 PORT WORD...");
    let mut server = connect(port)?;
    writeln!(server, "{}", args.collect::<Vec<_>>().join(" "))?;
    let mut answer = String::new();
    match BufReader::new(server).read_line(&mut answer)? {
        0 => println!("no answer"),
        _ => println!("answer: {}", answer.trim_end()),
    }
    Ok(())
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    for _ in 1..TRIES {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(server) => return Ok(server),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    TcpStream::connect(("127.0.0.1", port))
}
