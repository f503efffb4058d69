//! Greets each client that sends a line, on the listening socket that the host has opened as descriptor 3;
//! the line `quit` ends it with 7. This is WASI preview 1 itself: no socket is made here.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::process::ExitCode;

const LISTENER: i32 = 3;
const QUIT: u8 = 7;

fn main() -> std::io::Result<ExitCode> {
    // SAFETY: nothing else in this guest holds the descriptor; one that is no socket makes the first
    // accept fail.
    let listener = unsafe { TcpListener::from_raw_fd(LISTENER) };
    println!("ready");
    loop {
        let (client, _) = listener.accept()?;
        match greet(&client) {
            Ok(true) => return Ok(QUIT.into()),
            Ok(false) => {}
            Err(error) => eprintln!("client: {error}"),
        }
    }
}

/// Returns whether this client requested the end.
fn greet(mut client: &TcpStream) -> std::io::Result<bool> {
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line)?;
    writeln!(client, "hello from fd {LISTENER}")?;
    Ok(line.trim_end() == "quit")
}
