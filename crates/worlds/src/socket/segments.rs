//! What guests write in parts leaves in one segment.
//!
//! Guests of this ABI have no vectored write that works, so that their servers send an answer's head and body by two
//! calls: two segments, and twice the work for both sides' kernels. A stream whose guest was seen to send twice in a
//! row is taken at its habit: the kernel holds the first part back (`MSG_MORE`, for 200 ms at the most) until the second
//! has come, or until the guest does anything else that may wait.

use rustix::net::{SendFlags, sockopt};

use super::{Errno, Sockets};

/// How a guest was last seen to send to a socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Habit {
    /// All that belongs together at once.
    #[default]
    Whole,
    /// In parts.
    Parts,
    /// Each send is a datagram, and none is ever held back.
    Datagrams,
}

/// The sends since the guest last did anything else.
#[derive(Default)]
pub(super) struct Segments {
    /// Where the last went.
    last: Option<u32>,
    /// Whether the kernel holds it back.
    held: bool,
}

impl Sockets {
    /// How the guest's next bytes to `fd` are to be sent.
    pub(super) fn sending(&mut self, fd: u32) -> Result<SendFlags, Errno> {
        let again = self.segments.last == Some(fd);
        if !again {
            self.settle();
        }
        let socket = self.at_mut(fd)?;
        if again && socket.habit == Habit::Whole {
            socket.habit = Habit::Parts;
        }
        let held = !again && socket.habit == Habit::Parts;
        self.segments = Segments { last: Some(fd), held };
        Ok(if held { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL })
    }

    /// Lets go of what is held back, before a call that may wait.
    pub fn settle(&mut self) {
        let Segments { last, held } = std::mem::take(&mut self.segments);
        if let Some(fd) = last.filter(|_| held)
            && let Ok(socket) = self.at_mut(fd)
        {
            socket.habit = Habit::Whole;
            // Said once more, it sends what there is. A socket that fails here tells the guest at its next call.
            let _ = sockopt::set_tcp_nodelay(&socket.fd, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::socket::guest::{DGRAM, Guest, INET4, STREAM};

    /// A stream of the guest's and its other end.
    fn connected(guest: &mut Guest) -> (u32, TcpStream) {
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
    fn a_head_waits_for_its_body_once_the_guest_has_the_habit() {
        let mut guest = Guest::new();
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
    fn nothing_is_held_while_the_guest_waits_and_the_habit_is_unlearned() {
        let mut guest = Guest::new();
        let (fd, mut peer) = connected(&mut guest);
        let (other, mut its_peer) = connected(&mut guest);
        guest.nonblocking(fd);
        let wait = |guest: &mut Guest| assert_eq!(guest.recv(fd, 1, 0), Err(Errno::Again));
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
        let mut guest = Guest::new();
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
