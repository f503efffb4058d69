//! A name server of the tests' own: it knows some names and remembers which it was asked for.

use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Result;

/// The length of a message's head.
const HEAD: usize = 12;
/// Kinds of records.
const A: u16 = 1;
const AAAA: u16 = 28;
/// "No such name."
const NX_DOMAIN: u8 = 3;

/// A name server that answers until it is dropped.
pub struct Dns {
    socket: UdpSocket,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Answers at `socket`; a name may stand in the table more than once.
    ///
    /// # Errors
    /// When an address is none.
    pub fn start(socket: UdpSocket, table: &[(&str, &str)]) -> Result<Self> {
        let known = |(name, address): &(&str, &str)| anyhow::Ok((String::from(*name), address.parse()?));
        let table: Vec<(String, IpAddr)> = table.iter().map(known).collect::<Result<_>>()?;
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (listens, remembers) = (socket.try_clone()?, Arc::clone(&asked));
        let thread = thread::spawn(move || {
            let mut message = [0; 512];
            // What is too short for a question is the order to end.
            while let Ok((length @ HEAD.., client)) = listens.recv_from(&mut message) {
                let Some((name, answer)) = answer(&message[..length], &table) else { continue };
                let mut asked = remembers.lock().unwrap_or_else(PoisonError::into_inner);
                if !asked.contains(&name) {
                    asked.push(name);
                }
                drop(asked);
                // A client that went away needs no answer.
                drop(listens.send_to(&answer, client));
            }
        });
        Ok(Self { socket, asked, thread: Some(thread) })
    }

    /// The names it was asked for, each once, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let told = self.socket.local_addr().and_then(|own| self.socket.send_to(&[], own));
        if let Some(thread) = self.thread.take().filter(|_| told.is_ok()) {
            drop(thread.join());
        }
    }
}

/// The name asked for, and the answer to it.
fn answer(question: &[u8], table: &[(String, IpAddr)]) -> Option<(String, Vec<u8>)> {
    let (name, end) = name(question)?;
    let kind = u16::from_be_bytes([*question.get(end)?, *question.get(end + 1)?]);
    let of_name = || table.iter().filter(|(known, _)| *known == name).map(|(_, address)| address);
    let records: Vec<Vec<u8>> = of_name()
        .filter_map(|address| match address {
            IpAddr::V4(four) if kind == A => Some(four.octets().to_vec()),
            IpAddr::V6(six) if kind == AAAA => Some(six.octets().to_vec()),
            _ => None,
        })
        .collect();
    let code = if of_name().next().is_some() { 0 } else { NX_DOMAIN };
    let mut answer = question[..2].to_vec();
    // An answer with authority, to one question; no other records.
    answer.extend([0x85, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]);
    answer.extend(&question[HEAD..end + 4]);
    for record in records {
        // The name of the question, this kind of the internet's, good for a minute.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(record.len()).ok()?]);
        answer.extend(record);
    }
    Some((name, answer))
}

/// The name in a question, in small letters, and where it ends.
fn name(question: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEAD);
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            question.get(at..at + 4)?;
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
}

/// The text of a `resolv.conf` that names it.
pub fn resolv_conf(lines: &str) -> String {
    format!("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n{lines}\n")
}

/// Where it is asked.
pub const ADDRESS: &str = "127.0.0.1:53";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_answered() {
        let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02Db\x01a\x00\x00\x01\x00\x01";
        let table = [("db.a".into(), "10.0.0.1".parse().unwrap())];
        let (name, told) = answer(question, &table).unwrap();
        assert_eq!((name.as_str(), told[3] & 0xf, &told[told.len() - 4..]), ("db.a", 0, &[10, 0, 0, 1][..]));
        let (_, told) = answer(question, &[]).unwrap();
        assert_eq!(told[3] & 0xf, NX_DOMAIN);
        assert!(answer(&question[..20], &table).is_none());
    }
}
