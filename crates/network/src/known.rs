//! The addresses that allowed names led to, and the ports they may be reached at. Bounded.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// How many addresses are remembered.
const MOST: usize = 4096;

/// Addresses that were found; the one found longest ago is forgotten first.
#[derive(Debug, Default)]
pub struct Known {
    ports: HashMap<IpAddr, (u64, Vec<RangeInclusive<u16>>)>,
    /// By when they were last found.
    order: BTreeMap<u64, IpAddr>,
    /// How many were ever found.
    count: u64,
}

impl Known {
    /// Notes that `address` may be reached at `ports`, too.
    pub fn add(&mut self, address: IpAddr, ports: &[RangeInclusive<u16>]) {
        let address = address.to_canonical();
        // Counted from 1: an address that is new was found at 0, which is nobody's.
        self.count += 1;
        let (found, known) = self.ports.entry(address).or_default();
        self.order.remove(found);
        *found = self.count;
        known.extend(ports.iter().filter(|range| !known.contains(range)).cloned().collect::<Vec<_>>());
        self.order.insert(self.count, address);
        while self.order.len() > MOST {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.ports.remove(&oldest);
            }
        }
    }

    /// Whether an allowed name led to this address, with this port among its rule's.
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
        let mut known = Known::default();
        let address = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        (0..MOST).for_each(|number| known.add(address(number), &[80..=80]));
        known.add(address(0), &[90..=91]);
        known.add(address(MOST), &[80..=80]);
        let holds = |number, port| known.holds((address(number), port).into());
        assert!(holds(0, 80) && holds(0, 91) && holds(MOST, 80), "found again, or new");
        assert!(!holds(1, 80) && holds(2, 80), "the oldest");
        assert!(!holds(0, 81) && known.holds("[::ffff:0.0.0.2]:80".parse().unwrap()));
        assert_eq!((known.ports.len(), known.order.len()), (MOST, MOST));
    }
}
