//! Name lookups: reads the guest's query, resolves it, and writes (`answer`) the result.

mod answer;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use network::{Egress, LookupError};

use self::answer::field;
use super::address::{INET4, INET6};
use super::{DGRAM, Errno, STREAM};
use crate::Memory;

// The longest names, with their zero: a host's, as in DNS, and a service's.
const MAX_HOST: u32 = 256;
const MAX_SERVICE: u32 = 32;
// `AI_PASSIVE`, `AI_NUMERICHOST` and `AI_NUMERICSERV`.
const PASSIVE: u16 = 1;
const NUMERIC_HOST: u16 = 4;
const NUMERIC_SERVICE: u16 = 8;
/// The services that are known by name.
const SERVICES: [(&str, u16); 14] = [
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("http", 80),
    ("www", 80),
    ("pop3", 110),
    ("ntp", 123),
    ("imap", 143),
    ("https", 443),
    ("imaps", 993),
    ("pop3s", 995),
    ("postgresql", 5432),
];

/// `sock_getaddrinfo` with its arguments in their order. Needs a Tokio runtime with I/O and time enabled.
///
/// # Errors
/// Those of [`Query::read`] and [`Query::answer`]; `AiNoName` for a name that has no address of the wanted family,
/// `AiAgain` for a temporary failure, `Acces` if `egress` refuses the lookup.
pub async fn getaddrinfo(egress: &Egress, memory: &mut Memory<'_>, arguments: [u32; 8]) -> Result<(), Errno> {
    let [node, node_len, service, service_len, hints, res, max_reslen, res_len] = arguments;
    let query = Query::read(memory, node, node_len, service, service_len, hints)?;
    let found = match query.known()? {
        Some(addresses) => addresses,
        None => query.look_up(egress).await?,
    };
    query.answer(memory, &found, res, max_reslen, res_len)
}

/// The query of a `sock_getaddrinfo` call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    host: Option<String>,
    port: u16,
    family: Option<Family>,
    socktype: u8,
    protocol: u8,
    flags: u16,
}

/// The family that addresses must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Query {
    /// Reads the first five arguments of `sock_getaddrinfo`. Names end at their first zero; `hints` 0 means no hints.
    ///
    /// # Errors
    /// `AiNoName` for an invalid host name, and for neither host nor service; `AiService`, `AiFamily`, `AiSockType`;
    /// `AddrNotAvail`, `Fault`.
    pub fn read(
        memory: &Memory<'_>,
        node: u32,
        node_len: u32,
        service: u32,
        service_len: u32,
        hints: u32,
    ) -> Result<Self, Errno> {
        let host = name(memory, node, node_len, MAX_HOST)?.ok_or(Errno::AiNoName)?;
        let service = name(memory, service, service_len, MAX_SERVICE)?.ok_or(Errno::AiService)?;
        if host.is_empty() && service.is_empty() {
            return Err(Errno::AiNoName);
        }
        let (flags, [family, socktype, protocol]) = match hints {
            0 => (0, [0; 3]),
            _ => (memory.u16(hints)?, node_head(memory, hints)?),
        };
        let family = match u32::from(family) {
            0 => None,
            INET4 => Some(Family::V4),
            INET6 => Some(Family::V6),
            _ => return Err(Errno::AiFamily),
        };
        let port = port(service, flags)?;
        let host = (!host.is_empty()).then(|| host.to_owned());
        let query = Self { host, port, family, socktype, protocol, flags };
        if query.kinds().next().is_none() {
            return Err(Errno::AiSockType);
        }
        Ok(query)
    }

    /// The host's name, or its address as text; `None` means the guest's own host.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The service's port; 0 without a service.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The wanted family; `None` for both.
    pub fn family(&self) -> Option<Family> {
        self.family
    }

    /// The wanted type of socket: 1 datagrams, 2 stream, 0 both.
    pub fn socktype(&self) -> u8 {
        self.socktype
    }

    /// The bits of `ai_flags`.
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// Whether the address is wanted for listening.
    pub fn passive(&self) -> bool {
        self.flags & PASSIVE != 0
    }

    /// The addresses that need no lookup: those for no host, and a host that is an address. `localhost` is looked up
    /// like any name, since egress rules may name it.
    ///
    /// # Errors
    /// `AiNoName` for a name if the flags only allow an address.
    pub fn known(&self) -> Result<Option<Vec<IpAddr>>, Errno> {
        let own = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let Some(host) = self.host() else {
            let any = || vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            return Ok(Some(if self.passive() { any() } else { own() }));
        };
        match host.parse() {
            Ok(address) => Ok(Some(vec![address])),
            Err(_) if self.flags & NUMERIC_HOST != 0 => Err(Errno::AiNoName),
            Err(_) => Ok(None),
        }
    }

    async fn look_up(&self, egress: &Egress) -> Result<Vec<IpAddr>, Errno> {
        let mut found =
            egress.lookup(self.host().unwrap_or_default()).await.map_err(|error| match error {
                LookupError::NotFound(_) | LookupError::Invalid(_) => Errno::AiNoName,
                LookupError::Temporary { .. } => Errno::AiAgain,
                LookupError::Refused(_) => Errno::Acces,
            })?;
        if let Some(family) = self.family() {
            found.retain(|address| address.is_ipv4() == (family == Family::V4));
        }
        if found.is_empty() { Err(Errno::AiNoName) } else { Ok(found) }
    }

    /// The wanted types of socket, each with its protocol, streams first.
    fn kinds(&self) -> impl Iterator<Item = [u8; 2]> + use<> {
        let (socktype, protocol) = (self.socktype, self.protocol);
        let fits = move |[kind, its]: &[u8; 2]| {
            (socktype == 0 || socktype == *kind) && (protocol == 0 || protocol == *its)
        };
        [[STREAM as u8, 1], [DGRAM as u8, 2]].into_iter().filter(fits)
    }
}

/// The name at `at`, up to its first zero; `None` if it is too long or not UTF-8.
fn name<'m>(memory: &'m Memory<'_>, at: u32, length: u32, max: u32) -> Result<Option<&'m str>, Errno> {
    let bytes = memory.bytes(at, length)?;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = bytes.get(..end).filter(|name| name.len() < max as usize);
    Ok(text.and_then(|name| std::str::from_utf8(name).ok()))
}

/// A node's family, type of socket and protocol.
fn node_head(memory: &Memory<'_>, node: u32) -> Result<[u8; 3], Errno> {
    memory.bytes(field(node, 2)?, 3)?.try_into().map_err(|_| Errno::Fault)
}

fn port(service: &str, flags: u16) -> Result<u16, Errno> {
    let named = |service: &str| SERVICES.iter().find(|(name, _)| *name == service).map(|(_, port)| *port);
    match service.parse() {
        Ok(port) => Ok(port),
        Err(_) if service.is_empty() => Ok(0),
        Err(_) if flags & NUMERIC_SERVICE != 0 => Err(Errno::AiNoName),
        Err(_) => named(service).ok_or(Errno::AiService),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::guest::{DATA, TestGuest};

    /// The query for a host, a service and hints: flags, family, type, protocol.
    pub(super) fn query(
        guest: &mut TestGuest,
        host: &[u8],
        service: &[u8],
        hints: [u8; 4],
    ) -> Result<Query, Errno> {
        let [flags, rest @ ..] = hints;
        guest.put(DATA, &[&[flags, 0][..], &rest].concat());
        let (node, named) = (DATA + 32, DATA + 512);
        guest.put(node, host);
        guest.put(named, service);
        let (host, service) = (host.len() as u32, service.len() as u32);
        guest.call(|_, memory| Query::read(memory, node, host, named, service, DATA))
    }

    #[test]
    fn names_end_at_a_zero() {
        let mut guest = TestGuest::new();
        let check = |guest: &mut TestGuest,
                     host: &[u8],
                     service: &[u8],
                     expected: Result<(Option<&str>, u16), Errno>| {
            let found = query(guest, host, service, [0; 4]);
            let found = found.as_ref().map(|query| (query.host(), query.port())).map_err(|error| *error);
            assert_eq!(found, expected, "{host:?} {service:?}");
        };
        check(&mut guest, b"a.b\0", b"80\0", Ok((Some("a.b"), 80)));
        check(&mut guest, b"a.b", b"https", Ok((Some("a.b"), 443)));
        check(&mut guest, b"a\0b", b"", Ok((Some("a"), 0)));
        check(&mut guest, b"\0", b"domain\0", Ok((None, 53)));
        check(&mut guest, b"", b"\0", Err(Errno::AiNoName));
        check(&mut guest, b"\xff", b"1", Err(Errno::AiNoName));
        check(&mut guest, &[b'a'; 255], b"1", Ok((Some(&"a".repeat(255)), 1)));
        check(&mut guest, &[b'a'; 256], b"1", Err(Errno::AiNoName));
        check(&mut guest, b"a", b"65536", Err(Errno::AiService));
        check(&mut guest, b"a", b"nothing", Err(Errno::AiService));
    }

    #[test]
    fn hints_are_read() {
        let mut guest = TestGuest::new();
        let hinted = query(&mut guest, b"a", b"1", [1, 2, 1, 2]).unwrap();
        assert_eq!((hinted.family(), hinted.socktype(), hinted.flags()), (Some(Family::V6), 1, 1));
        assert!(hinted.passive());
        assert_eq!(query(&mut guest, b"a", b"1", [0, 3, 0, 0]), Err(Errno::AiFamily));
        assert_eq!(query(&mut guest, b"a", b"1", [0, 0, 3, 0]), Err(Errno::AiSockType));
        assert_eq!(
            query(&mut guest, b"a", b"1", [0, 0, 1, 1]),
            Err(Errno::AiSockType),
            "no TCP of datagrams"
        );
        assert_eq!(query(&mut guest, b"a", b"http", [8, 0, 0, 0]), Err(Errno::AiNoName));
        guest.put(DATA + 512, b"1");
        let bare = guest.call(|_, memory| Query::read(memory, DATA + 32, 1, DATA + 512, 1, 0)).unwrap();
        assert_eq!((bare.family(), bare.socktype(), bare.flags()), (None, 0, 0));
    }

    #[test]
    fn some_need_no_lookup() {
        let mut guest = TestGuest::new();
        let check =
            |guest: &mut TestGuest, host: &[u8], flags: u8, expected: Result<Option<&[&str]>, Errno>| {
                let known = query(guest, host, b"1", [flags, 0, 0, 0]).unwrap().known();
                let parsed = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
                assert_eq!(known, expected.map(|all| all.map(parsed)), "{host:?}");
            };
        check(&mut guest, b"", 0, Ok(Some(&["127.0.0.1", "::1"])));
        check(&mut guest, b"", 1, Ok(Some(&["0.0.0.0", "::"])));
        check(&mut guest, b"localhost\0", 0, Ok(None));
        check(&mut guest, b"10.0.0.1", 4, Ok(Some(&["10.0.0.1"])));
        check(&mut guest, b"fe80::1", 0, Ok(Some(&["fe80::1"])));
        check(&mut guest, b"example.org", 0, Ok(None));
        check(&mut guest, b"localhost", 4, Err(Errno::AiNoName));
    }
}
