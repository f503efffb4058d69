//! A name server of the tests' own: it knows some names and remembers which it was asked for.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::background::Background;
use crate::net::Net;

/// The length of a message's head.
const HEAD: usize = 12;
/// Kinds of records.
const A: u16 = 1;
const AAAA: u16 = 28;
/// "No such name."
const NX_DOMAIN: u8 = 3;

/// The longest answer that goes into a datagram; of a longer one it says so, and is asked again by TCP.
const DATAGRAM: usize = 512;
/// "This is not all."
const TRUNCATED: u8 = 2;

/// A name server at 127.0.0.1, where `resolv.conf` expects one, until it is dropped.
pub struct Dns {
    told: Arc<Told>,
    _serves: Background,
}

/// What it knows, and which names it was asked for by UDP and by TCP.
struct Told {
    table: Vec<(String, IpAddr)>,
    datagrams: Mutex<Vec<String>>,
    streams: Mutex<Vec<String>>,
}

impl Dns {
    /// Answers in `net`; a name may stand in the table more than once.
    ///
    /// # Errors
    /// When an address is none, or somebody is there already.
    pub fn start(net: &Net, table: &[(&str, &str)]) -> Result<Self> {
        let known = |(name, address): &(&str, &str)| anyhow::Ok((String::from(*name), address.parse()?));
        let table = table.iter().map(known).collect::<Result<_>>()?;
        let bind = || Ok((UdpSocket::bind(ADDRESS)?, TcpListener::bind(ADDRESS)?));
        let (socket, listener) = net.inside(bind).context("a name server")?;
        socket.set_nonblocking(true)?;
        listener.set_nonblocking(true)?;
        let told = Arc::new(Told { table, datagrams: Mutex::default(), streams: Mutex::default() });
        let serves = Arc::clone(&told);
        let serves = Background::start(|| async move {
            tokio::try_join!(serves.datagrams(socket), serves.streams(listener)).map(|_| ())
        })?;
        Ok(Self { told, _serves: serves })
    }

    /// The names it was asked for, each once, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.told.datagrams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names it was asked for by TCP.
    pub fn asked_by_tcp(&self) -> Vec<String> {
        self.told.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Told {
    async fn datagrams(&self, socket: UdpSocket) -> Result<()> {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let mut message = [0; 1500];
        loop {
            let (length, client) = socket.recv_from(&mut message).await?;
            let Some(answer) = self.answer(&message[..length], DATAGRAM, &self.datagrams) else { continue };
            // A client that went away needs no answer.
            drop(socket.send_to(&answer, client).await);
        }
    }

    async fn streams(self: &Arc<Self>, listener: TcpListener) -> Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(Arc::clone(self).stream(client));
        }
    }

    /// Questions by TCP: a message has its length before it.
    async fn stream(self: Arc<Self>, mut client: TcpStream) -> Result<()> {
        loop {
            let mut message = vec![0; client.read_u16().await?.into()];
            client.read_exact(&mut message).await?;
            let answer = self.answer(&message, usize::MAX, &self.streams).context("no question")?;
            client.write_u16(answer.len().try_into()?).await?;
            client.write_all(&answer).await?;
        }
    }

    /// The answer, and the name remembered.
    fn answer(&self, question: &[u8], most: usize, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
        let (name, answer) = answer(question, &self.table, most)?;
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.contains(&name) {
            asked.push(name);
        }
        Some(answer)
    }
}

/// The name asked for, and the answer to it; without records, where it would be longer than `most`.
fn answer(question: &[u8], table: &[(String, IpAddr)], most: usize) -> Option<(String, Vec<u8>)> {
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
    if answer.len() > most {
        answer.truncate(end + 4);
        answer[2] |= TRUNCATED;
        answer[6..8].fill(0);
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
const ADDRESS: &str = "127.0.0.1:53";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_answered() {
        let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02Db\x01a\x00\x00\x01\x00\x01";
        let table = [("db.a".into(), "10.0.0.1".parse().unwrap())];
        let (name, told) = answer(question, &table, DATAGRAM).unwrap();
        assert_eq!((name.as_str(), told[3] & 0xf, &told[told.len() - 4..]), ("db.a", 0, &[10, 0, 0, 1][..]));
        let (_, told) = answer(question, &[], DATAGRAM).unwrap();
        assert_eq!(told[3] & 0xf, NX_DOMAIN);
        let many = vec![table[0].clone(); 50];
        let (_, told) = answer(question, &many, DATAGRAM).unwrap();
        assert_eq!((told.len(), told[2] & TRUNCATED, told[7]), (question.len(), TRUNCATED, 0));
        assert!(answer(&question[..20], &table, DATAGRAM).is_none());
    }
}
