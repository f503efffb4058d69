//! The addresses that allowed names resolved to, and the ports at which they may be reached. Bounded.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// Max number of addresses.
const MAX_ADDRESSES: usize = 4096;

/// Resolved addresses; the least recently found one is dropped first.
#[derive(Debug, Default)]
pub struct ResolvedAddresses {
    ports: HashMap<IpAddr, (u64, Vec<RangeInclusive<u16>>)>,
    /// By the count at which they were last found.
    order: BTreeMap<u64, IpAddr>,
    /// How many addresses were ever found.
    count: u64,
}

impl ResolvedAddresses {
    /// Allows `ports` on `address`, in addition to earlier ones.
    pub fn add(&mut self, address: IpAddr, ports: &[RangeInclusive<u16>]) {
        let address = address.to_canonical();
        // Starts at 1: a new entry holds 0, which is in no use.
        self.count += 1;
        let (found, known) = self.ports.entry(address).or_default();
        self.order.remove(found);
        *found = self.count;
        known.extend(ports.iter().filter(|range| !known.contains(range)).cloned().collect::<Vec<_>>());
        self.order.insert(self.count, address);
        while self.order.len() > MAX_ADDRESSES {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.ports.remove(&oldest);
            }
        }
    }

    /// Whether an allowed name resolved to this address, with this port in its rule.
    pub fn holds(&self, address: SocketAddr) -> bool {
        let known = self.ports.get(&address.ip().to_canonical());
        known.is_some_and(|(_, ports)| ports.iter().any(|range| range.contains(&address.port())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_found_longest_ago_is_forgotten() {
        let mut known = ResolvedAddresses::default();
        let address = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        (0..MAX_ADDRESSES).for_each(|number| known.add(address(number), &[80..=80]));
        known.add(address(0), &[90..=91]);
        known.add(address(MAX_ADDRESSES), &[80..=80]);
        let holds = |number, port| known.holds((address(number), port).into());
        assert!(holds(0, 80) && holds(0, 91) && holds(MAX_ADDRESSES, 80), "found again, or new");
        assert!(!holds(1, 80) && holds(2, 80), "the oldest");
        assert!(!holds(0, 81) && known.holds("[::ffff:0.0.0.2]:80".parse().unwrap()));
        assert_eq!((known.ports.len(), known.order.len()), (MAX_ADDRESSES, MAX_ADDRESSES));
    }
}
