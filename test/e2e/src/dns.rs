//! A name server of the tests: it answers for some names and records the queries.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::background::Background;
use crate::net::Net;

/// The length of a message's header.
const HEAD: usize = 12;
/// Record types.
const A: u16 = 1;
const AAAA: u16 = 28;
/// The response code NXDOMAIN.
const NX_DOMAIN: u8 = 3;

/// The maximum size of an answer by UDP; a longer one is truncated, and the client retries by TCP.
const DATAGRAM: usize = 512;
/// The flag TC, "truncated".
const TRUNCATED: u8 = 2;

/// A name server at 127.0.0.1, where `resolv.conf` expects one, until it is dropped.
pub struct Dns {
    zone: Arc<Zone>,
    _serves: Background,
}

/// Its records, and the names in the queries by UDP and by TCP.
struct Zone {
    table: Vec<(String, IpAddr)>,
    datagrams: Mutex<Vec<String>>,
    streams: Mutex<Vec<String>>,
}

impl Dns {
    /// Answers in `net`; a name may be in the table more than once.
    ///
    /// # Errors
    /// When an address is invalid, or the port is in use.
    pub fn start(net: &Net, table: &[(&str, &str)]) -> Result<Self> {
        let known = |(name, address): &(&str, &str)| anyhow::Ok((String::from(*name), address.parse()?));
        let table = table.iter().map(known).collect::<Result<_>>()?;
        let bind = || Ok((UdpSocket::bind(ADDRESS)?, TcpListener::bind(ADDRESS)?));
        let (socket, listener) = net.inside(bind).context("a name server")?;
        socket.set_nonblocking(true)?;
        listener.set_nonblocking(true)?;
        let zone = Arc::new(Zone { table, datagrams: Mutex::default(), streams: Mutex::default() });
        let serves = Arc::clone(&zone);
        let serves = Background::start(|| async move {
            tokio::try_join!(serves.datagrams(socket), serves.streams(listener)).map(|_| ())
        })?;
        Ok(Self { zone, _serves: serves })
    }

    /// The queried names, each once, in order.
    pub fn asked(&self) -> Vec<String> {
        self.zone.datagrams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names queried by TCP.
    pub fn asked_by_tcp(&self) -> Vec<String> {
        self.zone.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Zone {
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

    /// Serves queries by TCP, where each message is preceded by its length.
    async fn stream(self: Arc<Self>, mut client: TcpStream) -> Result<()> {
        loop {
            let mut message = vec![0; client.read_u16().await?.into()];
            client.read_exact(&mut message).await?;
            let answer = self.answer(&message, usize::MAX, &self.streams).context("no question")?;
            client.write_u16(answer.len().try_into()?).await?;
            client.write_all(&answer).await?;
        }
    }

    /// Answers a query and records its name.
    fn answer(&self, question: &[u8], max: usize, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
        let (name, answer) = answer(question, &self.table, max)?;
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.contains(&name) {
            asked.push(name);
        }
        Some(answer)
    }
}

/// The queried name, and the answer; truncated to no records where it would be longer than `max`.
fn answer(question: &[u8], table: &[(String, IpAddr)], max: usize) -> Option<(String, Vec<u8>)> {
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
    // An authoritative answer to one question; no other records.
    answer.extend([0x85, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]);
    answer.extend(&question[HEAD..end + 4]);
    for record in records {
        // A pointer to the question's name, the type, class IN, a TTL of one minute.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(record.len()).ok()?]);
        answer.extend(record);
    }
    if answer.len() > max {
        answer.truncate(end + 4);
        answer[2] |= TRUNCATED;
        answer[6..8].fill(0);
    }
    Some((name, answer))
}

/// The name in a query, in lower case, and where it ends.
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

/// A `resolv.conf` that names this server.
pub fn resolv_conf(lines: &str) -> String {
    format!("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n{lines}\n")
}

/// Its address.
const ADDRESS: &str = "127.0.0.1:53";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_answered() {
        let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02Db\x01a\x00\x00\x01\x00\x01";
        let table = [("db.a".into(), "10.0.0.1".parse().unwrap())];
        let (name, reply) = answer(question, &table, DATAGRAM).unwrap();
        assert_eq!(
            (name.as_str(), reply[3] & 0xf, &reply[reply.len() - 4..]),
            ("db.a", 0, &[10, 0, 0, 1][..])
        );
        let (_, reply) = answer(question, &[], DATAGRAM).unwrap();
        assert_eq!(reply[3] & 0xf, NX_DOMAIN);
        let many = vec![table[0].clone(); 50];
        let (_, reply) = answer(question, &many, DATAGRAM).unwrap();
        assert_eq!((reply.len(), reply[2] & TRUNCATED, reply[7]), (question.len(), TRUNCATED, 0));
        assert!(answer(&question[..20], &table, DATAGRAM).is_none());
    }
}
