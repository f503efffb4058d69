//! Coalesces a guest's consecutive sends into one segment.
//!
//! Guests of this ABI have no working vectored write, so their servers send the head and body of a response by two
//! calls: two segments, and twice the work for both kernels. Once a guest has sent to a stream twice in a row, the
//! kernel holds the first part back (`MSG_MORE`, at most 200 ms) until the second, or until the guest makes any other
//! call that may block.

use rustix::net::{SendFlags, sockopt};

use super::{Errno, Sockets};

/// How a guest last sent to a socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum SendPattern {
    /// Whole messages.
    #[default]
    Whole,
    /// Messages in parts.
    Parts,
    /// Datagrams, which are never held back.
    Datagrams,
}

/// The sends since the guest's last other call.
#[derive(Default)]
pub(super) struct Segments {
    /// The socket of the last send.
    last: Option<u32>,
    /// Whether the kernel holds data back.
    held: bool,
}

impl Sockets {
    /// The flags for the guest's next send to `fd`.
    pub(super) fn sending(&mut self, fd: u32) -> Result<SendFlags, Errno> {
        let again = self.segments.last == Some(fd);
        if !again {
            self.settle();
        }
        let socket = self.at_mut(fd)?;
        if again && socket.pattern == SendPattern::Whole {
            socket.pattern = SendPattern::Parts;
        }
        let held = !again && socket.pattern == SendPattern::Parts;
        self.segments = Segments { last: Some(fd), held };
        Ok(if held { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL })
    }

    /// Flushes what is held back, before a call that may block.
    pub fn settle(&mut self) {
        let Segments { last, held } = std::mem::take(&mut self.segments);
        if let Some(fd) = last.filter(|_| held)
            && let Ok(socket) = self.at_mut(fd)
        {
            socket.pattern = SendPattern::Whole;
            // Setting it again flushes. A socket that fails here returns the error to the guest's next call.
            let _ = sockopt::set_tcp_nodelay(&socket.fd, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::socket::guest::{DGRAM, INET4, STREAM, TestGuest};

    /// A stream of the guest's and its other end.
    fn connected(guest: &mut TestGuest) -> (u32, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let fd = guest.open(INET4, STREAM);
        guest.connect(fd, listener.local_addr().unwrap()).unwrap();
        (fd, listener.accept().unwrap().0)
    }

    fn expect(peer: &mut TcpStream, data: &[u8]) {
        let mut came = vec![0; data.len()];
        peer.read_exact(&mut came).unwrap();
        assert_eq!(came, data);
    }

    fn nothing_yet(peer: &mut TcpStream) {
        peer.set_nonblocking(true).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        peer.set_nonblocking(false).unwrap();
    }

    #[test]
    fn a_head_waits_for_its_body_once_the_pattern_is_known() {
        let mut guest = TestGuest::new();
        let (fd, mut peer) = connected(&mut guest);
        guest.send(fd, b"head").unwrap();
        expect(&mut peer, b"head");
        guest.send(fd, b"body").unwrap();
        expect(&mut peer, b"body");
        for _ in 0..2 {
            guest.sockets.settle();
            guest.send(fd, b"head").unwrap();
            nothing_yet(&mut peer);
            guest.send(fd, b"body").unwrap();
            expect(&mut peer, b"headbody");
            guest.send(fd, b"more").unwrap();
            expect(&mut peer, b"more");
        }
    }

    #[test]
    fn nothing_is_held_while_the_guest_blocks_and_the_pattern_is_reset() {
        let mut guest = TestGuest::new();
        let (fd, mut peer) = connected(&mut guest);
        let (other, mut its_peer) = connected(&mut guest);
        guest.nonblocking(fd);
        let wait = |guest: &mut TestGuest| assert_eq!(guest.recv(fd, 1, 0), Err(Errno::Again));
        for _ in 0..2 {
            guest.send(fd, b"one").unwrap();
            guest.send(fd, b"two").unwrap();
            expect(&mut peer, b"onetwo");
            wait(&mut guest);
            guest.send(fd, b"three").unwrap();
            nothing_yet(&mut peer);
            wait(&mut guest);
            expect(&mut peer, b"three");
            guest.send(fd, b"four").unwrap();
            expect(&mut peer, b"four");
            wait(&mut guest);
        }
        guest.send(fd, b"one").unwrap();
        guest.send(fd, b"two").unwrap();
        wait(&mut guest);
        expect(&mut peer, b"onetwo");
        guest.send(fd, b"three").unwrap();
        guest.send(other, b"elsewhere").unwrap();
        expect(&mut peer, b"three");
        expect(&mut its_peer, b"elsewhere");
    }

    #[test]
    fn datagrams_stay_apart() {
        let mut guest = TestGuest::new();
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let fd = guest.open(INET4, DGRAM);
        guest.connect(fd, peer.local_addr().unwrap()).unwrap();
        for _ in 0..3 {
            for data in [b"one", b"two"] {
                guest.send(fd, data).unwrap();
                let mut came = [0; 8];
                let length = peer.recv(&mut came).unwrap();
                assert_eq!(came[..length], *data);
            }
            guest.sockets.settle();
        }
    }
}
