//! Writes the answer to a lookup into the guest's list of nodes.

use std::net::IpAddr;

use super::{Family, Query};
use crate::Memory;
use crate::socket::Errno;
use crate::socket::address::{INET4, INET6};

// `AI_CANONNAME`, `AI_V4MAPPED` and `AI_ALL`.
const CANON_NAME: u16 = 2;
const V4_MAPPED: u16 = 16;
const ALL: u16 = 32;

impl Query {
    /// Writes the `addresses` into the guest's list of nodes, whose first address is at `res`: up to `max_reslen`, and
    /// as many as it has nodes for. Writes their number to `res_len`. If both types of socket are wanted, an address
    /// takes two nodes. A node's data is the port in network order and the rest of the kernel's address: 14 bytes, or
    /// 26 for IPv6, whatever the length in the guest's node, since WasmEdge's crate sets 14 and allocates 26.
    ///
    /// # Errors
    /// `AiNoName` when no address is of the wanted family; `AiMemory` when there is no node; `AddrNotAvail`, `Fault`.
    pub fn answer(
        self,
        memory: &mut Memory<'_>,
        addresses: &[IpAddr],
        res: u32,
        max_reslen: u32,
        res_len: u32,
    ) -> Result<(), Errno> {
        memory.place::<4>(res_len)?;
        if max_reslen == 0 {
            return Err(Errno::AiMemory);
        }
        let addresses = self.wanted(addresses);
        if addresses.is_empty() {
            return Err(Errno::AiNoName);
        }
        let answers = addresses.iter().flat_map(|address| self.kinds().map(move |kind| (*address, kind)));
        let (mut node, mut count) = (memory.u32(res)?, 0_u32);
        for (address, kind) in answers.take(max_reslen as usize) {
            if node == 0 {
                break;
            }
            self.fill(memory, node, address, kind, count == 0)?;
            (node, count) = (memory.u32(field(node, 24)?)?, count + 1);
        }
        Ok(memory.put(res_len, count.to_le_bytes())?)
    }

    /// The addresses of the wanted family, with IPv4 mapped to IPv6 as the flags say.
    fn wanted(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let of = |six: bool| addresses.iter().copied().filter(move |address| address.is_ipv6() == six);
        match self.family {
            None => addresses.to_vec(),
            Some(Family::V4) => of(false).collect(),
            Some(Family::V6) => {
                let mut wanted: Vec<IpAddr> = of(true).collect();
                if self.flags & V4_MAPPED != 0 && (wanted.is_empty() || self.flags & ALL != 0) {
                    let mapped = |address| match address {
                        IpAddr::V4(four) => four.to_ipv6_mapped().into(),
                        six @ IpAddr::V6(_) => six,
                    };
                    wanted.extend(of(false).map(mapped));
                }
                wanted
            }
        }
    }

    /// Fills one node: an addrinfo of 28 bytes, the sockaddr of 12 that it points to, and the data that this points to.
    fn fill(
        &self,
        memory: &mut Memory<'_>,
        node: u32,
        address: IpAddr,
        [socktype, protocol]: [u8; 2],
        first: bool,
    ) -> Result<(), Errno> {
        let (family, length, data) = data(address, self.port);
        memory.put(node, self.flags.to_le_bytes())?;
        memory.bytes_mut(field(node, 2)?, 3)?.copy_from_slice(&[family, socktype, protocol]);
        memory.put(field(node, 8)?, length.to_le_bytes())?;
        let sockaddr = memory.u32(field(node, 12)?)?;
        let into = memory.u32(field(sockaddr, 8)?)?;
        memory.put(sockaddr, [family])?;
        memory.put(field(sockaddr, 4)?, (data.len() as u32).to_le_bytes())?;
        memory.bytes_mut(into, data.len() as u32)?.copy_from_slice(&data);
        self.fill_name(memory, node, first)
    }

    /// Writes the host's name to the first node, if it is wanted and fits with a zero.
    fn fill_name(&self, memory: &mut Memory<'_>, node: u32, first: bool) -> Result<(), Errno> {
        let (into, room) = (memory.u32(field(node, 16)?)?, memory.u32(field(node, 20)?)?);
        let fits = |host: &&str| first && self.flags & CANON_NAME != 0 && host.len() < room as usize;
        let host = self.host().filter(fits).unwrap_or_default();
        if !host.is_empty() {
            let text = [host.as_bytes(), &[0]].concat();
            memory.bytes_mut(into, text.len() as u32)?.copy_from_slice(&text);
        }
        Ok(memory.put(field(node, 20)?, (host.len() as u32).to_le_bytes())?)
    }
}

/// The address of a field of a structure.
pub(super) fn field(node: u32, offset: u32) -> Result<u32, Errno> {
    node.checked_add(offset).ok_or(Errno::Fault)
}

/// The family, the length of the kernel's address, and the address from its port on.
fn data(address: IpAddr, port: u16) -> (u8, u32, Vec<u8>) {
    let port = port.to_be_bytes();
    match address {
        IpAddr::V4(four) => (INET4 as u8, 16, [&port[..], &four.octets(), &[0; 8]].concat()),
        // The flow label before the address and the scope after it are 0.
        IpAddr::V6(six) => (INET6 as u8, 28, [&port[..], &[0; 4], &six.octets(), &[0; 4]].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::query;
    use crate::socket::Errno;
    use crate::socket::guest::{OUT, TestGuest};

    const NODES: u32 = 4096;
    const SOCKADDRS: u32 = 8192;
    const NAMES: u32 = 10240;
    const SA_DATA: u32 = 12288;

    /// Lays nodes out as WasmEdge's crate does, plus buffers for names.
    fn lay_out(guest: &mut TestGuest, count: u32) {
        for nth in 0..count {
            let (node, sockaddr) = (NODES + nth * 28, SOCKADDRS + nth * 12);
            let next = if nth + 1 < count { node + 28 } else { 0 };
            guest.put(node + 12, &[sockaddr, NAMES + nth * 32, 32, next].map(u32::to_le_bytes).concat());
            guest.put(sockaddr + 4, &[14, SA_DATA + nth * 32].map(u32::to_le_bytes).concat());
        }
        guest.put(OUT, &NODES.to_le_bytes());
    }

    fn answer(
        guest: &mut TestGuest,
        hints: [u8; 4],
        addresses: &[&str],
        nodes: u32,
        max: u32,
    ) -> Result<u32, Errno> {
        lay_out(guest, nodes);
        let query = query(guest, b"a.b\0", b"80\0", hints).unwrap();
        let addresses: Vec<_> = addresses.iter().map(|one| one.parse().unwrap()).collect();
        guest.call(|_, memory| query.answer(memory, &addresses, OUT, max, OUT + 4))?;
        Ok(guest.u32(OUT + 4))
    }

    #[test]
    fn nodes_are_filled_as_wasmedge_fills_them() {
        let mut guest = TestGuest::new();
        assert_eq!(answer(&mut guest, [2, 0, 2, 0], &["10.0.0.1", "fe80::1"], 3, 3), Ok(2));
        let at = |guest: &TestGuest, at: u32, length: usize| guest.bytes[at as usize..][..length].to_vec();
        assert_eq!(at(&guest, NODES, 12), [2, 0, 1, 2, 1, 0, 0, 0, 16, 0, 0, 0]);
        assert_eq!(guest.u32(NODES + 20), 3);
        assert_eq!(at(&guest, NAMES, 4), *b"a.b\0");
        assert_eq!(at(&guest, SOCKADDRS, 1), [1]);
        assert_eq!(guest.u32(SOCKADDRS + 4), 14);
        assert_eq!(at(&guest, SA_DATA, 6), [0, 80, 10, 0, 0, 1]);
        assert_eq!(at(&guest, NODES + 28, 5), [2, 0, 2, 2, 1]);
        assert_eq!((guest.u32(NODES + 28 + 8), guest.u32(NODES + 28 + 20)), (28, 0));
        assert_eq!(guest.u32(SOCKADDRS + 12 + 4), 26);
        let six = [&[0, 80, 0, 0, 0, 0, 0xfe, 0x80][..], &[0; 13], &[1, 0, 0, 0, 0]].concat();
        assert_eq!(at(&guest, SA_DATA + 32, 26), six);
    }

    #[test]
    fn as_many_as_are_wanted_and_fit() {
        let mut guest = TestGuest::new();
        let both = ["10.0.0.1", "fe80::1"];
        let check = |guest: &mut TestGuest, hints, nodes, max, expected| {
            assert_eq!(answer(guest, hints, &both, nodes, max), expected, "{hints:?} {nodes} {max}");
        };
        check(&mut guest, [0, 0, 0, 0], 9, 9, Ok(4));
        check(&mut guest, [0, 0, 0, 0], 3, 9, Ok(3));
        check(&mut guest, [0, 0, 0, 0], 9, 1, Ok(1));
        check(&mut guest, [0, 0, 0, 2], 9, u32::MAX, Ok(2));
        check(&mut guest, [0, 2, 2, 0], 9, 9, Ok(1));
        check(&mut guest, [16 | 32, 2, 2, 0], 9, 9, Ok(2));
        check(&mut guest, [0, 0, 0, 0], 9, 0, Err(Errno::AiMemory));
        assert_eq!(answer(&mut guest, [0, 2, 0, 0], &both[..1], 9, 9), Err(Errno::AiNoName));
        assert_eq!(answer(&mut guest, [16, 2, 2, 0], &both[..1], 9, 9), Ok(1));
    }
}
