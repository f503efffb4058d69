//! One item of an annotation: a target and its ports.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::WrongItem;
use super::names::Names;

/// `TARGET[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub target: Target,
    pub ports: Ports,
}

/// The target of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    Names(Names),
    Network(Network),
}

/// A network; a single address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its first address.
    first: IpAddr,
    bits: u8,
}

/// The first and the last port; all ports are 0, which is no port, to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports(u16, u16);

impl Rule {
    pub fn parse(item: &str) -> Result<Self, WrongItem> {
        let (target, ports) = split(item)?;
        let ports = ports.map_or(Ok(Ports::ALL), Ports::parse)?;
        let target = match Network::parse(&target)? {
            Some(network) => Target::Network(network),
            None => Target::Names(Names::parse(&target)?),
        };
        Ok(Self { target, ports })
    }

    /// Whether it names every target at every port.
    pub fn is_everything(&self) -> bool {
        self.target == Target::Names(Names::Any) && self.ports == Ports::ALL
    }
}

/// Splits off the port; the target is without brackets. Several colons without brackets are an IPv6 address.
fn split(item: &str) -> Result<(String, Option<&str>), WrongItem> {
    if item.contains("://") {
        return Err(WrongItem::Url);
    }
    let Some(rest) = item.strip_prefix('[') else {
        return Ok(match item.split_once(':') {
            Some((target, port)) if !port.contains(':') => (target.into(), Some(port)),
            _ => (item.into(), None),
        });
    };
    let (address, rest) = rest.split_once(']').ok_or(WrongItem::Brackets)?;
    let (bits, port) = match rest.split_once(':') {
        Some((bits, port)) => (bits, Some(port)),
        None => (rest, None),
    };
    if !address.contains(':') || !(bits.is_empty() || bits.starts_with('/')) {
        return Err(WrongItem::Brackets);
    }
    Ok((format!("{address}{bits}"), port))
}

impl Network {
    /// `None` if `text` is a name instead.
    fn parse(text: &str) -> Result<Option<Self>, WrongItem> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = match (address.parse(), bits) {
            (Ok(address), _) => address,
            (Err(_), Some(bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(WrongItem::Network(address.into()));
            }
            (Err(_), None) if address.contains(':') => return Err(WrongItem::Name(address.into())),
            (Err(_), _) => return Ok(None),
        };
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits =
            bits.map_or(Ok(max), |bits| number(bits).ok_or_else(|| WrongItem::Prefix(bits.into(), max)))?;
        if bits > max {
            return Err(WrongItem::Prefix(bits.to_string(), max));
        }
        Ok(Some(Self::new(address, bits)))
    }

    /// Clears the bits after the prefix. A network of IPv4-mapped addresses becomes an IPv4 network.
    fn new(address: IpAddr, bits: u8) -> Self {
        let (address, bits) = match (address.to_canonical(), bits) {
            (IpAddr::V4(inner), 96..) if address.is_ipv6() => (inner.into(), bits - 96),
            _ => (address, bits),
        };
        Self { first: masked(address, bits), bits }
    }

    /// Whether it contains `address`, in canonical form.
    pub fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }
}

/// `address` with all but the first `bits` bits cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl Ports {
    const ALL: Self = Self(0, u16::MAX);

    fn parse(text: &str) -> Result<Self, WrongItem> {
        if text == "*" {
            return Ok(Self::ALL);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (number(first), number(last)) {
            (Some(first @ 1..), Some(last)) if first <= last => Ok(Self(first, last)),
            _ => Err(WrongItem::Port(text.into())),
        }
    }

    pub fn range(self) -> RangeInclusive<u16> {
        self.0..=self.1
    }
}

/// Digits only: `parse` would accept a sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, self.ports) {
            (Target::Names(names), Ports::ALL) => names.fmt(f),
            (Target::Names(names), ports) => write!(f, "{names}:{ports}"),
            (Target::Network(network), Ports::ALL) => network.fmt(f),
            (Target::Network(Network { first: IpAddr::V6(first), bits }), ports) => {
                write!(f, "[{first}]/{bits}:{ports}")
            }
            (Target::Network(network), ports) => write!(f, "{network}:{ports}"),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}
