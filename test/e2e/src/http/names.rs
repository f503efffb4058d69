//! A name server on port 53 of a container's own 127.0.0.1: the port that `resolv.conf` cannot name.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use crate::net::Net;

const PORT: u16 = 53;
/// Bytes of a message before its question.
const HEAD: usize = 12;
/// A question's kind: an IPv4 address.
const A: [u8; 2] = [0, 1];

/// The names that were asked for.
pub type Asked = Arc<Mutex<Vec<String>>>;

/// Answers in `net` for `table`'s names, and that all others are not there, for as long as the tests run.
///
/// # Errors
/// When the kernel refuses.
pub fn serve(net: &Net, table: &'static [(&'static str, Ipv4Addr)]) -> Result<Asked> {
    let socket = net.inside(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, PORT)).context("a name server"))?;
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some((name, reply)) = reply(&buffer[..length], table) {
                told.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                // Who asked may be gone.
                drop(socket.send_to(&reply, from));
            }
        }
    });
    Ok(asked)
}

/// The name asked for, and what is said of it.
fn reply(query: &[u8], table: &[(&str, Ipv4Addr)]) -> Option<(String, Vec<u8>)> {
    let (name, end) = question(query)?;
    let known = table.iter().find(|(its, _)| *its == name);
    let address = known.filter(|_| query[end - 4..end - 2] == A);
    let mut reply = query[..end].to_vec();
    // An answer, with recursion; "no such name" is 3.
    reply[2..4].copy_from_slice(&[0x81, if known.is_some() { 0x80 } else { 0x83 }]);
    reply[4..HEAD].copy_from_slice(&[0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    if let Some((_, address)) = address {
        // The question's name, an address of the Internet, for a minute, four bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    Some((name, reply))
}

/// The name in a message's question, and where the question ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEAD);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            let end = at + 4;
            return (end <= query.len()).then(|| (labels.join("."), end));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_name_is_answered_and_another_is_not_there() {
        const TABLE: &[(&str, Ipv4Addr)] = &[("a.test", Ipv4Addr::new(10, 0, 0, 7))];
        let query =
            |name: &[u8]| [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, 0, 1, 0, 1]].concat();
        let (name, known) = reply(&query(b"\x01a\x04test"), TABLE).unwrap();
        assert_eq!((name.as_str(), known.ends_with(&[10, 0, 0, 7]), known[3]), ("a.test", true, 0x80));
        let (name, other) = reply(&query(b"\x01b\x04test"), TABLE).unwrap();
        assert_eq!((name.as_str(), other[3], other[7]), ("b.test", 0x83, 0));
        assert!(reply(b"short", TABLE).is_none());
    }
}
