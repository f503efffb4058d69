//! Messages with descriptors attached, between processes of one shim.
//!
//! A SEQPACKET socket pair: whole messages or EOF, never a part. Messages are JSON; one that is too long for a packet
//! goes as a memfd among the descriptors.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{MemfdFlags, OFlags, SealFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Max size of a message, in bytes. Longer texts go as memfds.
const LONGEST: usize = 64 << 10;
/// Max descriptors per message: the kernel's own limit.
pub const MAX_FDS: usize = 253;

/// One end of a pair.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Creates two connected ends, both close-on-exec.
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// Sends one message; `fds` are copied to the receiver.
    ///
    /// # Errors
    /// `EPIPE` when the other end is gone, `EMSGSIZE` when the message is too long.
    pub fn send(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        if text.len() > LONGEST {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.0, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Receives one message; `None` when the other end is closed.
    ///
    /// # Errors
    /// `WouldBlock` on an end made non-blocking; `InvalidData` for what is not a `T`.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        // Sized by a peek first: pages touched here stay with the process for its lifetime.
        let whole = RecvFlags::PEEK | RecvFlags::TRUNC;
        let peek = || rustix::net::recv(&self.0, &mut [0; 1], whole);
        let length = || rustix::io::retry_on_intr(peek).map(|(_, length)| length);
        // The kernel looks for a message, and then for the other end's close: both may come in between, so that the
        // first 0 may hide a last message.
        let length = match length()? {
            0 => length()?,
            some => some,
        };
        if length == 0 {
            return Ok(None);
        }
        let mut text = vec![0; length];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut text)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        let rights = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fds = rights.flatten().collect();
        Ok(Some((serde_json::from_slice(&text[..received.bytes])?, fds)))
    }

    /// Moves this end to a descriptor number of `least` or more.
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn above(self, least: RawFd) -> io::Result<Self> {
        Ok(Self(rustix::io::fcntl_dupfd_cloexec(&self.0, least)?))
    }

    /// Makes this end's calls return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// The error of fcntl(2).
    pub fn set_nonblocking(&self) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(&self.0)?;
        Ok(rustix::fs::fcntl_setfl(&self.0, flags | OFlags::NONBLOCK)?)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

/// Creates a memfd, to be filled by another process.
///
/// # Errors
/// When the process may open no more files.
pub fn memory_file(name: &str) -> io::Result<File> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    Ok(fd.into())
}

/// Creates a sealed memfd that holds `value` as JSON.
///
/// # Errors
/// When memory or descriptors run out.
pub fn sealed_json(name: &str, value: &impl Serialize) -> io::Result<File> {
    let mut file = memory_file(name)?;
    let mut buffered = io::BufWriter::new(&mut file);
    serde_json::to_writer(&mut buffered, value)?;
    buffered.flush()?;
    drop(buffered);
    seal(&file)?;
    file.rewind()?;
    Ok(file)
}

/// Seals a file of [`memory_file`] against any further change.
///
/// # Errors
/// `EBUSY` while a process has it mapped for writing.
pub fn seal(file: &File) -> io::Result<()> {
    const TRIES: usize = 10;
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let seal = || rustix::fs::fcntl_add_seals(file, all);
    // The kernel may hold a reference to a page for a moment, for reclaim or monitoring. fcntl waits up to 150 ms for
    // it, then fails.
    let busy = |sealed: &rustix::io::Result<()>| matches!(sealed, Err(rustix::io::Errno::BUSY));
    Ok((1..TRIES).map(|_| seal()).find(|sealed| !busy(sealed)).unwrap_or_else(seal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_messages_and_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let file = sealed_json("t", &[1, 2, 3]).unwrap();
        one.send(&"hello", &[file.as_fd()]).unwrap();
        let (text, fds): (String, _) = other.receive().unwrap().unwrap();
        assert_eq!(text, "hello");
        let numbers: Vec<i32> = serde_json::from_reader(File::from(fds.into_iter().next().unwrap())).unwrap();
        assert_eq!(numbers, [1, 2, 3]);
        assert!((&file).write(b"x").is_err(), "sealed");
    }

    #[test]
    fn says_when_the_other_end_is_gone_or_the_message_too_long() {
        let (one, other) = Channel::pair().unwrap();
        assert!(one.send(&"x".repeat(LONGEST), &[]).is_err());
        drop(one);
        assert!(other.receive::<String>().unwrap().is_none());
    }

    #[test]
    fn the_last_message_is_received_though_the_other_end_closes_at_once() {
        // Without the second look 1 in 10,000 is lost.
        const RUNS: usize = 100_000;
        let (hand_over, ends) = std::sync::mpsc::sync_channel::<Channel>(0);
        let sender = std::thread::spawn(move || ends.iter().try_for_each(|end| end.send(&(), &[])));
        for run in 0..RUNS {
            let (one, other) = Channel::pair().unwrap();
            one.set_nonblocking().unwrap();
            hand_over.send(other).unwrap();
            let received = loop {
                match one.receive::<()>() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    received => break received,
                }
            };
            assert!(received.unwrap().is_some(), "run {run}");
        }
        drop(hand_over);
        sender.join().unwrap().unwrap();
    }
}
