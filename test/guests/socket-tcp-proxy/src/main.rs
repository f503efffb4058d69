//! Forwards connections: `socket-tcp-proxy PORT HOST:PORT` listens on 0.0.0.0:PORT and connects to
//! HOST:PORT for each client. Each direction ends on its own: after its last byte a peer can still receive.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(Ok(port)), Some(target)) = (args.next().map(|port| port.parse::<u16>()), args.next()) else {
        panic!("usage: socket-tcp-proxy PORT HOST:PORT");
    };
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    println!("ready");
    loop {
        let (client, _) = listener.accept().await?;
        let target = target.clone();
        tokio::task::spawn(async move {
            match pass(client, &target).await {
                Ok((up, down)) => println!("{up} bytes up, {down} bytes down"),
                Err(error) => eprintln!("{target}: {error}"),
            }
        });
    }
}

async fn pass(mut client: TcpStream, target: &str) -> std::io::Result<(u64, u64)> {
    let mut upstream = TcpStream::connect(target).await?;
    copy_bidirectional(&mut client, &mut upstream).await
}
