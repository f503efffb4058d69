//! What a guest may reach: the rules of its container and of the runtime, with the addresses that their names
//! resolved to.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use workload::{Guest, Outbound, Special};

use crate::asked::Asked;
use crate::known::ResolvedAddresses;
use crate::refusals::{Refusals, Sink};
use crate::{Lookup, LookupError, Sources};

/// The one place that judges a guest's connections and look-ups. Shared by reference or `Arc`.
///
/// The look-ups here query the name servers whatever the rules allow; the guest's own packets to them need a rule
/// that names their address. A name is judged as the guest wrote it, before any search domain is appended. The name
/// server decides where a name leads, so a name never opens a special address. All sets of rules must allow a target.
pub struct Egress {
    /// The sets that refuse anything.
    rules: Vec<Rules>,
    lookup: Lookup,
    /// The name servers' port.
    port: u16,
    refusals: Refusals,
}

/// One set of rules: the container's or the runtime's.
struct Rules {
    outbound: Outbound,
    /// The addresses that the names in them resolved to.
    known: Mutex<ResolvedAddresses>,
}

impl Egress {
    /// With any rules, reads `sources` here, once. `sink` gets one message per refused target; it must not call back.
    pub fn new(rules: impl IntoIterator<Item = Outbound>, sources: Sources, sink: Sink) -> Self {
        let rules = rules.into_iter().filter(|outbound| !outbound.is_everything());
        let rules: Vec<_> = rules.map(|outbound| Rules { outbound, known: Mutex::default() }).collect();
        let port = sources.port;
        let lookup = if rules.is_empty() { Lookup::new(sources) } else { Lookup::once(&sources) };
        Self { rules, lookup, port, refusals: Refusals::new(sink) }
    }

    /// The egress of `guest`, in its own process, before it runs. A refusal is a line on standard error, the
    /// container's log.
    pub fn of(guest: &Guest) -> Arc<Self> {
        let sink = |sentence: &str| {
            // Best effort: there is nowhere else to report to.
            let _ = io::stderr().write_all(format!("{sentence}\n").as_bytes());
        };
        let rules = [guest.outbound.clone(), guest.floor.clone()];
        Arc::new(Self::new(rules, Sources::default(), Box::new(sink)))
    }

    /// The addresses of `name`, as [`Lookup::addresses`] finds them. From then on they may be reached at the ports of
    /// the rules that name it.
    ///
    /// # Errors
    /// [`LookupError`]; `Refused` for a name that may not be looked up.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let asked = Asked::parse(name).ok_or_else(|| LookupError::Invalid(name.into()))?;
        if self.rules.is_empty() {
            return self.lookup.addresses_of(&asked).await;
        }
        let host = asked.host();
        // Loopback names need no DNS, so no look-up rule: a rule for their address is enough.
        let asks = !matches!(asked, Asked::Local(_));
        let refusing = self.rules.iter().find(|rules| asks && !rules.outbound.allows_lookup(&host));
        if let Some(Rules { outbound, .. }) = refusing {
            let decides = outbound.decides_lookup(&host);
            return Err(self.refused(format!("look up {host}: {decides} does not name it")));
        }
        let addresses = self.lookup.addresses_of(&asked).await?;
        for rules in &self.rules {
            match asked {
                // An address is not a name: only rules for addresses apply.
                Asked::Address(_) => {}
                // A loopback name means this machine, and no name server was asked.
                Asked::Local(_) => rules.remember(&host, &addresses),
                Asked::Name { .. } => {
                    rules.remember(&host, &self.ordinary(&rules.outbound, &host, &addresses))
                }
            }
        }
        Ok(addresses)
    }

    /// Whether the guest may exchange packets with `address`. Reports a refusal.
    pub fn may_reach(&self, address: SocketAddr) -> bool {
        let refusing = self.refusing(address);
        if let Some(rules) = refusing {
            self.refused(rules.not_named(&address.to_string()));
        }
        refusing.is_none()
    }

    /// The addresses to connect to for `host` (a name or an address, with or without brackets) at `port`: those that
    /// may be reached, at least one.
    ///
    /// # Errors
    /// [`LookupError`]; `Refused` when the name may not be looked up or none of its addresses be reached.
    pub async fn resolve_allowed(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let found = self.lookup(bare).await?;
        let found = found.into_iter().map(|address| SocketAddr::new(address, port));
        let (mut allowed, mut refusing) = (Vec::new(), None);
        for address in found {
            match self.refusing(address) {
                None => allowed.push(address),
                Some(rules) => refusing = refusing.or(Some(rules)),
            }
        }
        match refusing {
            Some(rules) if allowed.is_empty() => {
                Err(self.refused(rules.not_named(&format!("{host}:{port}"))))
            }
            _ => Ok(allowed),
        }
    }

    /// The first rules that refuse `address`.
    fn refusing(&self, address: SocketAddr) -> Option<&Rules> {
        self.rules.iter().find(|rules| !self.reaches(rules, address))
    }

    fn reaches(&self, Rules { outbound, known }: &Rules, address: SocketAddr) -> bool {
        if outbound.names_address(address) {
            return true;
        }
        if address.port() == self.port && self.lookup.asks(address.ip()) {
            return false;
        }
        outbound.allows_address(address)
            || known.lock().unwrap_or_else(PoisonError::into_inner).holds(address)
    }

    /// The addresses of `host` that a name may lead to. Reports the others if a rule names the host but not them.
    fn ordinary(&self, outbound: &Outbound, host: &str, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let named = !outbound.ports_for_host(host).is_empty();
        let ordinary = |ip: &IpAddr| {
            let Some(special) = Special::of(*ip) else { return true };
            if named && !outbound.names_ip(*ip) {
                self.refusals.report(&format!(
                    "lighter: the guest may not reach {ip} by the name {host}: it is {special}, and \
                     {} does not name that address",
                    outbound.decides()
                ));
            }
            false
        };
        addresses.iter().copied().filter(ordinary).collect()
    }

    fn refused(&self, what: String) -> LookupError {
        self.refusals.report(&format!("lighter: the guest may not {what}"));
        LookupError::Refused(format!("the guest may not {what}"))
    }
}

impl Rules {
    fn remember(&self, host: &str, addresses: &[IpAddr]) {
        let ports = self.outbound.ports_for_host(host);
        if !ports.is_empty() {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.iter().for_each(|address| known.add(*address, &ports));
        }
    }

    fn not_named(&self, target: &str) -> String {
        format!("connect to {target}: {} does not name it", self.outbound.decides())
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules: Vec<_> = self.rules.iter().map(|rules| &rules.outbound).collect();
        f.debug_struct("Egress").field("rules", &rules).finish_non_exhaustive()
    }
}
