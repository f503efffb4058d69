//! Resolves a name: an address, `localhost`, the `hosts` file, then the name servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use crate::asked::Asked;
use crate::dns::DnsAnswer;
use crate::files::{NameFiles, Sources};

/// Resolves names as the container sees them.
#[derive(Debug)]
pub struct Lookup {
    files: NameFiles,
}

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LookupError {
    /// There is no such name, or it has no address.
    #[error("there is no host called {0}")]
    NotFound(String),
    /// The name servers could not be reached, or could not answer; a retry may succeed.
    #[error("{name} cannot be looked up just now: {reason}")]
    Temporary {
        /// The name asked for.
        name: String,
        /// The reason, with the servers' addresses.
        reason: String,
    },
    /// The container's annotations do not allow it.
    #[error("{0}")]
    Refused(String),
    /// Neither a host's name nor an address.
    #[error("{0:?} is not the name of a host")]
    Invalid(String),
}

impl Lookup {
    /// Remembers the sources. Reads them at the first look-up, and again when they have changed.
    pub fn new(sources: Sources) -> Self {
        Self { files: NameFiles::watched(sources) }
    }

    /// Reads the sources now, and never again.
    pub fn once(sources: &Sources) -> Self {
        Self { files: NameFiles::kept(sources) }
    }

    /// Whether `ip` is one of the name servers.
    pub fn asks(&self, ip: IpAddr) -> bool {
        self.files.now().1.hold(ip)
    }

    /// The addresses of `name`, at least one: IPv4 before IPv6, else in the order of the file or the answer, without
    /// duplicates. An address resolves to itself, `localhost` and names below it to 127.0.0.1 and ::1; a name in
    /// `hosts` is not queried. A query takes at most the time that `resolv.conf` allows, attempts × servers ×
    /// timeout; if no server answers, no further domain is tried. Must be called within a tokio runtime with I/O and
    /// time.
    ///
    /// # Errors
    /// [`LookupError`], except `Refused`.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let asked = Asked::parse(name).ok_or_else(|| LookupError::Invalid(name.into()))?;
        self.addresses_of(&asked).await
    }

    pub(crate) async fn addresses_of(&self, asked: &Asked) -> Result<Vec<IpAddr>, LookupError> {
        let (name, absolute) = match asked {
            Asked::Address(address) => return Ok(vec![*address]),
            Asked::Local(_) => return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
            Asked::Name { name, absolute } => (name, *absolute),
        };
        let (hosts, servers) = self.files.now();
        if let Some(addresses) = hosts.addresses(name) {
            return Ok(ordered(addresses));
        }
        let temporary = |reason| LookupError::Temporary { name: name.clone(), reason };
        if servers.are_none() {
            return Err(temporary("no name server is named in a resolv.conf that is mounted".into()));
        }
        match servers.addresses(name, absolute).await {
            DnsAnswer::Found(addresses) => Ok(ordered(&addresses)),
            DnsAnswer::NoName | DnsAnswer::NoAddress => Err(LookupError::NotFound(name.clone())),
            DnsAnswer::Failed(reason) => Err(temporary(format!("the name server says: {reason}"))),
            DnsAnswer::Silent => Err(temporary(format!("no answer from {}", servers.names()))),
        }
    }
}

fn ordered(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut ordered: Vec<IpAddr> = Vec::new();
    for address in addresses.iter().map(IpAddr::to_canonical) {
        if !ordered.contains(&address) {
            ordered.push(address);
        }
    }
    ordered.sort_by_key(IpAddr::is_ipv6);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_once_and_ipv4_first() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let given = parse(&["fd00::2", "10.0.0.2", "fd00::1", "10.0.0.1", "::ffff:10.0.0.2"]);
        assert_eq!(ordered(&given), parse(&["10.0.0.2", "10.0.0.1", "fd00::2", "fd00::1"]));
    }
}
