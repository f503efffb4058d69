//! The sockets for name servers: tokio's, with UDP ones connected.
//!
//! A connected socket gets an error if no process listens on the other side, so a container without a name server
//! does not wait for a timeout. Tokio does not wake a reader for that error, hence the receive loop here.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, TokioRuntimeProvider, TokioTime};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Opens hickory's sockets.
#[derive(Clone, Default)]
pub struct Sockets(TokioRuntimeProvider);

/// A connected UDP socket.
pub struct Connected(UdpSocket);

type Opened<T> = Pin<Box<dyn Send + Future<Output = io::Result<T>>>>;

impl RuntimeProvider for Sockets {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = TokioTime;
    type Udp = Connected;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        local: Option<SocketAddr>,
        wait: Option<Duration>,
    ) -> Opened<Self::Tcp> {
        self.0.connect_tcp(server, local, wait)
    }

    fn bind_udp(&self, local: SocketAddr, server: SocketAddr) -> Opened<Self::Udp> {
        Box::pin(async move {
            let socket = UdpSocket::bind(local).await?;
            socket.connect(server).await?;
            Ok(Connected(socket))
        })
    }
}

#[async_trait]
impl DnsUdpSocket for Connected {
    type Time = TokioTime;

    fn poll_recv_from(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        DnsUdpSocket::poll_recv_from(&self.0, cx, buf)
    }

    async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            self.0.ready(Interest::READABLE | Interest::ERROR).await?;
            match self.0.try_recv_from(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            // A wake-up without an error must be cleared, or this would loop without end.
            let news = || self.0.take_error()?.map_or(Err(io::ErrorKind::WouldBlock.into()), Err::<(), _>);
            match self.0.try_io(Interest::ERROR, news) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        DnsUdpSocket::poll_send_to(&self.0, cx, buf, target)
    }
}
