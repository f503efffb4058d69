//! A name server on the loopback interface, for UDP and TCP, that answers from a table.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Names, without a trailing dot, and their answers: addresses, `CNAME name`, `SERVFAIL`, `REFUSED`, `silent`, or
/// `tcp` before addresses that are sent by TCP only. Any other name does not exist.
pub type Table = &'static [(&'static str, &'static str)];

/// The queries received, as `name kind`.
pub type Asked = Arc<Mutex<Vec<String>>>;

/// Serves `table` until the runtime ends, at a free port on `ip`, or at `port`.
pub async fn serve(ip: Ipv4Addr, port: u16, table: Table) -> (u16, Asked) {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind((ip, port)).await.unwrap();
        // The same port may be taken for TCP.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let (port, asked) = (udp.local_addr().unwrap().port(), Asked::default());
    tokio::spawn(by_udp(udp, table, asked.clone()));
    tokio::spawn(by_tcp(tcp, table, asked.clone()));
    (port, asked)
}

async fn by_udp(socket: UdpSocket, table: Table, asked: Asked) {
    let mut buffer = [0; 1500];
    loop {
        let (length, from): (usize, SocketAddr) = socket.recv_from(&mut buffer).await.unwrap();
        if let Some(reply) = reply(&buffer[..length], table, &asked, false) {
            socket.send_to(&reply, from).await.unwrap();
        }
    }
}

async fn by_tcp(listener: TcpListener, table: Table, asked: Asked) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(converse(stream, table, asked.clone()));
    }
}

async fn converse(mut stream: TcpStream, table: Table, asked: Asked) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await.unwrap();
        if let Some(reply) = reply(&query, table, &asked, true) {
            stream.write_u16(reply.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    }
}

fn reply(query: &[u8], table: Table, asked: &Asked, tcp: bool) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(query).unwrap().into_response();
    let question = message.queries[0].clone();
    let (name, kind) = (question.name().to_ascii(), question.query_type());
    let name = name.strip_suffix('.').unwrap();
    asked.lock().unwrap().push(format!("{name} {kind}{}", if tcp { " tcp" } else { "" }));
    let answer = table.iter().find(|(known, _)| *known == name);
    let mut words = answer.map(|(_, answer)| answer.split(' ')).into_iter().flatten().peekable();
    match words.peek().copied() {
        None => message.metadata.response_code = ResponseCode::NXDomain,
        Some("silent") => return None,
        Some("SERVFAIL") => message.metadata.response_code = ResponseCode::ServFail,
        Some("REFUSED") => message.metadata.response_code = ResponseCode::Refused,
        Some("CNAME") => {
            let target = words.nth(1).unwrap();
            message.add_answer(record(name, RData::CNAME(CNAME(full(target)))));
            let answer = table.iter().find(|(known, _)| *known == target).unwrap().1;
            answer.split(' ').for_each(|word| message.answers.extend(address(target, word, kind)));
        }
        Some("tcp") if !tcp => message.metadata.truncation = true,
        Some(_) => words.for_each(|word| message.answers.extend(address(name, word, kind))),
    }
    Some(message.to_vec().unwrap())
}

fn address(name: &str, word: &str, kind: RecordType) -> Option<Record> {
    let data = match kind {
        RecordType::A => RData::A(A(word.parse().ok()?)),
        _ => RData::AAAA(AAAA(word.parse().ok()?)),
    };
    Some(record(name, data))
}

fn record(name: &str, data: RData) -> Record {
    Record::from_rdata(full(name), 60, data)
}

fn full(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}
