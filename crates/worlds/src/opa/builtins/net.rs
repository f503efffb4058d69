//! Networks: `net.cidr_*`, parsed and formatted as in Go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::Builtin::{self, Pure, Set};
use super::objects::compare;
use super::text;

pub const ALL: &[(&str, Builtin)] = &[
    ("net.cidr_contains_matches", Set(contains_matches)),
    ("net.cidr_expand", Set(|given| expanded(text(given, 0)?))),
    (
        "net.cidr_is_valid",
        Pure(|given| Ok(text(given, 0).is_ok_and(|text| Network::parse(text).is_ok()).into())),
    ),
    ("net.cidr_merge", Set(merged)),
];

/// The maximum number of addresses of an expanded network, and of matches.
const MAX_RESULTS: usize = 1 << 20;
/// The maximum number of pairs of networks to compare.
const MAX_PAIRS: usize = 1 << 26;

/// A network of IPv6 addresses; those of IPv4 are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: u128,
    /// Of 128 bits.
    prefix: u32,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn is_v4(address: u128) -> bool {
    address >> 32 == 0xffff
}

fn shown(address: u128) -> String {
    match is_v4(address) {
        true => Ipv4Addr::from_bits(address as u32).to_string(),
        false => Ipv6Addr::from_bits(address).to_string(),
    }
}

impl Network {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (address, prefix) = text.split_once('/').context("no prefix length")?;
        let address: IpAddr = address.parse()?;
        ensure!(prefix.bytes().all(|byte| byte.is_ascii_digit()), "not a prefix length");
        let (before, max) = if address.is_ipv4() { (96, 32) } else { (0, 128) };
        let prefix: u32 = prefix.parse()?;
        ensure!(prefix <= max, "not a prefix length");
        let network = Self { address: number(address), prefix: before + prefix };
        Ok(Self { address: network.first(), ..network })
    }

    fn rest(&self) -> u128 {
        u128::MAX.checked_shr(self.prefix).unwrap_or(0)
    }

    fn first(&self) -> u128 {
        self.address & !self.rest()
    }

    fn last(&self) -> u128 {
        self.address | self.rest()
    }

    fn contains(&self, address: u128) -> bool {
        is_v4(self.first()) == is_v4(address) && (self.first()..=self.last()).contains(&address)
    }

    fn shown(&self) -> String {
        let before = if is_v4(self.address) { 96 } else { 0 };
        format!("{}/{}", shown(self.address), self.prefix.saturating_sub(before))
    }
}

fn expanded(text: &str) -> anyhow::Result<Value> {
    let network = Network::parse(text)?;
    ensure!(network.rest() < MAX_RESULTS as u128, "the network is too large");
    let mut all: Vec<_> = (network.first()..=network.last()).map(shown).collect();
    all.sort();
    Ok(all.into())
}

/// The networks of an argument, each with its index or key.
fn indexed(value: &Value) -> anyhow::Result<Vec<(Value, &str)>> {
    fn network(value: &Value) -> anyhow::Result<&str> {
        match value {
            Value::String(text) => Ok(text.as_str()),
            Value::Array(items) => text(items, 0),
            _ => bail!("neither a string nor an array"),
        }
    }
    match value {
        Value::String(text) => Ok(vec![(value.clone(), text)]),
        Value::Array(items) => {
            items.iter().enumerate().map(|(nth, value)| Ok((nth.into(), network(value)?))).collect()
        }
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| Ok((name.as_str().into(), network(value)?))).collect()
        }
        _ => Ok(Vec::new()),
    }
}

/// The networks that contain networks or addresses, as pairs of indices.
fn contains_matches(given: &[Value]) -> anyhow::Result<Value> {
    let [networks, parts] = given else { bail!("two arguments") };
    let (networks, parts) = (indexed(networks)?, indexed(parts)?);
    if networks.is_empty() || parts.is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    ensure!(networks.len().saturating_mul(parts.len()) <= MAX_PAIRS, "too many to compare");
    let part = |(index, text): &(Value, &str)| match text.parse::<IpAddr>() {
        Ok(address) => Ok((index.clone(), number(address), number(address))),
        Err(_) => Network::parse(text).map(|network| (index.clone(), network.first(), network.last())),
    };
    let parts = parts.iter().map(part).collect::<anyhow::Result<Vec<_>>>()?;
    let mut found = Vec::new();
    for (index, network) in networks {
        let network = Network::parse(network)?;
        for (other, first, last) in &parts {
            if network.contains(*first) && network.contains(*last) {
                ensure!(found.len() < MAX_RESULTS, "too many matches");
                found.push(Value::from(vec![index.clone(), other.clone()]));
            }
        }
    }
    found.sort_by(compare);
    Ok(found.into())
}

/// A bare address gets the prefix of its former class, as in OPA.
fn network_or_address(text: &str) -> anyhow::Result<Network> {
    let Ok(address) = text.parse::<IpAddr>() else { return Network::parse(text) };
    let address = number(address);
    ensure!(is_v4(address), "IPv6 needs a prefix length");
    let class = match (address as u32) >> 24 {
        0..0x80 => 8,
        0x80..0xc0 => 16,
        _ => 24,
    };
    Ok(Network { address, prefix: 96 + class })
}

/// Merges networks into the fewest that contain the same addresses.
fn merged(given: &[Value]) -> anyhow::Result<Value> {
    let all = given.first().and_then(Value::as_array).context("not an array")?;
    let network = |nth| text(all, nth).and_then(network_or_address);
    let networks = (0..all.len()).map(network).collect::<anyhow::Result<Vec<_>>>()?;
    let mut ranges: Vec<_> =
        networks.iter().map(|network| (network.last(), network.first(), Some(*network))).collect();
    ranges.sort_by_key(|(last, first, _)| (*last, *first));
    let mut found = Vec::new();
    let mut ranges = ranges.into_iter().rev();
    let Some(mut range) = ranges.next() else { return Ok(Value::Array(Vec::new())) };
    for before in ranges {
        if previous(range.1) <= before.0 {
            range = (range.0, range.1.min(before.1), None);
        } else {
            write_range(&mut found, range);
            range = before;
        }
    }
    write_range(&mut found, range);
    found.sort();
    found.dedup();
    Ok(found.into())
}

/// The address before another; the first of IPv4 has none before it.
fn previous(address: u128) -> u128 {
    match is_v4(address) && address as u32 == 0 {
        true => address,
        false => address.saturating_sub(1),
    }
}

/// Appends the networks that make up a range of addresses: its last, its first, and its network if it is exactly one.
fn write_range(found: &mut Vec<String>, (last, mut first, network): (u128, u128, Option<Network>)) {
    if let Some(network) = network {
        found.push(network.shown());
        return;
    }
    loop {
        // The largest network that starts at the first address and does not exceed the last.
        let mut prefix = 128 - first.trailing_zeros();
        while (Network { address: first, prefix }).last() > last {
            prefix += 1;
        }
        let network = Network { address: first, prefix };
        found.push(network.shown());
        match network.last().checked_add(1) {
            Some(next) if next <= last => first = next,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn networks_are_parsed_as_in_go() {
        let check = |text: &str, expected: Option<&str>| {
            let network = Network::parse(text).ok();
            assert_eq!(network.map(|network| network.shown()).as_deref(), expected, "{text}");
        };
        check("10.1.2.3/8", Some("10.0.0.0/8"));
        check("2001:DB8::1/32", Some("2001:db8::/32"));
        check("::ffff:10.0.0.1/120", Some("10.0.0.0/24"));
        check("0.0.0.0/0", Some("0.0.0.0/0"));
        check("::/0", Some("::/0"));
        for wrong in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "010.0.0.0/8", "fe80::1%eth0/64"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn networks_merge() {
        let check = |networks: Value, expected: Value| {
            assert_eq!(merged(std::slice::from_ref(&networks)).unwrap(), expected, "{networks}");
        };
        check(
            json!(["192.0.2.0/25", "192.0.2.128/25", "198.51.100.7"]),
            json!(["192.0.2.0/24", "198.51.100.7/24"]),
        );
        check(json!(["10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/32"]), json!(["10.0.0.0/31", "10.0.0.2/32"]));
        check(json!(["::/1", "8000::/1"]), json!(["::/0"]));
        check(json!([]), json!([]));
    }

    #[test]
    fn large_networks_are_not_expanded() {
        assert_eq!(expanded("192.0.2.4/31").unwrap(), json!(["192.0.2.4", "192.0.2.5"]));
        assert_eq!(expanded("2001:db8::/128").unwrap(), json!(["2001:db8::"]));
        assert!(expanded("0.0.0.0/0").is_err() && expanded("::/0").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(a in super::super::tests::any(), b in super::super::tests::any(), address: u32, high: u128, prefix in 0..140_u8) {
            let v4 = format!("{}/{prefix}", Ipv4Addr::from_bits(address));
            let v6 = format!("{}/{prefix}", Ipv6Addr::from_bits(high));
            for (name, builtin) in ALL {
                let (Pure(call) | Set(call)) = builtin else { panic!("{name}") };
                let _ = (call(&[a.clone(), b.clone()]), call(&[json!(v4)]), call(&[json!(v6)]), call(&[]));
                let _ = (call(&[json!([v4, v6, v6, v4, "1.2.3.4"])]), call(&[json!([v4, v6]), json!([v6, v4])]));
            }
        }
    }
}
