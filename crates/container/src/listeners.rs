//! A guest's listening sockets: bound while its box has the privileges to, listening from its start on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use anyhow::Context;
use rustix::fs::{Gid, Uid, fchown};
use rustix::net::sockopt::{set_socket_reuseaddr, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

/// The sockets of one guest, in the order of their addresses.
#[derive(Debug, Default)]
pub struct Listeners(Vec<Listener>);

#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    socket: OwnedFd,
    bound: rustix::io::Result<()>,
}

impl Listeners {
    /// Creates a socket for each address and tries to bind it: a port that is taken now may be free when the guest
    /// starts.
    ///
    /// # Errors
    /// Names the address whose family the pod's network does not support.
    pub fn make(addresses: &[SocketAddr]) -> anyhow::Result<Self> {
        addresses.iter().map(|address| Listener::make(*address)).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes a user their owner, as if that user had created them: packet filters match a socket's owner.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn belong_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(self.0.iter().try_for_each(|listener| fchown(&listener.socket, uid, gid))?)
    }

    /// Duplicates of the sockets, to accept on.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.0.iter().map(|listener| listener.socket.try_clone()).collect()
    }

    /// Lets clients connect.
    ///
    /// # Errors
    /// Names the address and why it cannot be listened on.
    pub fn listen(self) -> anyhow::Result<()> {
        self.0.into_iter().try_for_each(Listener::listen)
    }
}

impl Listener {
    fn make(address: SocketAddr) -> anyhow::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .with_context(|| format!("cannot make a socket for {address}"))?;
        // As every server does: connections of its predecessor may still be closing.
        set_socket_reuseaddr(&socket, true).context("cannot set up a socket")?;
        // Accepted sockets inherit this: no server should wait for acknowledgements, and some guests cannot set it.
        set_tcp_nodelay(&socket, true).context("cannot set up a socket")?;
        let bound = bind(&socket, &address);
        Ok(Self { address, socket, bound })
    }

    fn listen(self) -> anyhow::Result<()> {
        /// The kernel limits the backlog to `net.core.somaxconn`.
        const QUEUE: i32 = 4096;
        let bound = self.bound.or_else(|_| bind(&self.socket, &self.address));
        let listening = bound.and_then(|()| listen(&self.socket, QUEUE));
        listening.with_context(|| format!("cannot listen on {}", self.address))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn free() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn clients_connect_once_it_listens() {
        let address = free();
        let listeners = Listeners::make(&[address]).unwrap();
        assert!(TcpStream::connect(address).is_err(), "not before");
        let socket = listeners.sockets().unwrap().remove(0);
        listeners.listen().unwrap();
        TcpStream::connect(address).unwrap();
        TcpListener::from(socket).accept().unwrap();
    }

    #[test]
    fn a_port_that_is_taken_may_be_free_later() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let error = Listeners::make(&[address]).unwrap().listen().unwrap_err();
        assert!(format!("{error:#}").starts_with(&format!("cannot listen on {address}: ")), "{error:#}");
        let listeners = Listeners::make(&[address]).unwrap();
        drop(other);
        listeners.listen().unwrap();
    }
}
