//! Both ends of a unix socket.
//!
//! `socket-unix PATH` connects, sends `ping` and prints the answer, up to its end or a full line.
//! `socket-unix listen PATH` binds, prints `ready` and its own path, accepts one client and echoes
//! its bytes. An error ends it with 1, with its `errno` on stderr.

mod sockets;

use std::process::ExitCode;

use sockets::{Errno, Socket};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["listen", path] => listen(path),
        [path] => connect(path),
        _ => panic!("usage: socket-unix [listen] PATH"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((step, Errno(number))) => {
            eprintln!("{step}: errno {number}");
            ExitCode::FAILURE
        }
    }
}

type Step = (&'static str, Errno);

fn at(step: &'static str) -> impl Fn(Errno) -> Step {
    move |errno| (step, errno)
}

fn connect(path: &str) -> Result<(), Step> {
    let socket = Socket::open().map_err(at("open"))?;
    socket.connect(path).map_err(at("connect"))?;
    socket.send(b"ping\n").map_err(at("send"))?;
    socket.end().map_err(at("shutdown"))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") {
        let bytes = socket.receive().map_err(at("receive"))?;
        if bytes.is_empty() {
            break;
        }
        answer.extend(bytes);
    }
    print!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}

fn listen(path: &str) -> Result<(), Step> {
    let socket = Socket::open().map_err(at("open"))?;
    socket.bind(path).map_err(at("bind"))?;
    socket.listen().map_err(at("listen"))?;
    println!("ready {}", socket.path().map_err(at("local address"))?);
    let client = socket.accept().map_err(at("accept"))?;
    loop {
        let bytes = client.receive().map_err(at("receive"))?;
        if bytes.is_empty() {
            return Ok(());
        }
        client.send(&bytes).map_err(at("send"))?;
    }
}
