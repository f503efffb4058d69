//! Addresses that are not those of a host on the network: this machine, this link, or several hosts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address can only be meant by a rule for the address itself, or for its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// This machine, or this pod.
    Loopback,
    /// This link, on which clouds run the metadata service with a node's secrets.
    LinkLocal,
    /// No address; a connection to it reaches this machine.
    Unspecified,
    /// Many hosts.
    Multicast,
    /// All hosts of the link.
    Broadcast,
}

impl Special {
    /// What is special about `address`, or about an IPv4 address embedded in it; `None` for a host's address.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Option<Self> {
        match address.octets() {
            // 0.0.0.0/8 is "this network".
            [0, ..] => Some(Self::Unspecified),
            [127, ..] => Some(Self::Loopback),
            [169, 254, ..] => Some(Self::LinkLocal),
            [224..=239, ..] => Some(Self::Multicast),
            [255, 255, 255, 255] => Some(Self::Broadcast),
            _ => None,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Option<Self> {
        if address.is_loopback() {
            return Some(Self::Loopback);
        }
        if address.is_unspecified() {
            return Some(Self::Unspecified);
        }
        if address.is_unicast_link_local() {
            return Some(Self::LinkLocal);
        }
        if address.is_multicast() {
            return Some(Self::Multicast);
        }
        carried(address).and_then(Self::of_v4)
    }
}

/// The IPv4 address embedded in a mapped, compatible, translated (NAT64) or 6to4 address: packets may be forwarded
/// there.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_host_of_the_network_is_special() {
        let check = |texts: &[&str], expected| {
            for text in texts {
                assert_eq!(Special::of(text.parse().unwrap()), expected, "{text}");
            }
        };
        check(
            &["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1"],
            Some(Special::Loopback),
        );
        check(&["64:ff9b::7f00:1", "2002:7f00:1::1"], Some(Special::Loopback));
        check(&["169.254.169.254", "fe80::1", "febf::1", "::ffff:169.254.0.1"], Some(Special::LinkLocal));
        check(&["64:ff9b::a9fe:a9fe"], Some(Special::LinkLocal));
        check(&["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"], Some(Special::Unspecified));
        check(&["224.0.0.1", "239.255.255.250", "ff02::1"], Some(Special::Multicast));
        check(&["255.255.255.255", "::ffff:255.255.255.255"], Some(Special::Broadcast));
        check(&["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "fc00::1"], None);
        check(&["8.8.8.8", "2001:db8::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fec0::1", "1.0.0.0"], None);
    }
}
