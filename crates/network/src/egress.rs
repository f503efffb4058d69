//! What a guest may reach: its container's rules, together with what the names in them led to.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use workload::{ALLOWED_OUTBOUND, Guest, Outbound, Special};

use crate::asked::Asked;
use crate::known::Known;
use crate::refusals::{Refusals, Tell};
use crate::{Lookup, LookupError, Sources};

/// The one place where a guest's connections and look-ups are judged. Shared by reference or `Arc`.
///
/// The name servers themselves are asked whatever the rules say; a guest's own packets to them are judged, and
/// there a rule must name the address itself. A name is judged as the guest wrote it, before any domain is
/// appended to it. Where a name leads is decided by who answers for it, and so it does not lead to a special address.
pub struct Egress {
    outbound: Outbound,
    everything: bool,
    lookup: Lookup,
    /// The port of name servers.
    port: u16,
    known: Mutex<Known>,
    refusals: Refusals,
}

impl Egress {
    /// Where there are rules, what `sources` name is read here and now. `tell` is called with a sentence for each
    /// target refused, once; it must not call back.
    pub fn new(outbound: Outbound, sources: Sources, tell: Tell) -> Self {
        let (everything, port) = (outbound.is_everything(), sources.port);
        let lookup = if everything { Lookup::new(sources) } else { Lookup::once(&sources) };
        Self { outbound, everything, lookup, port, known: Mutex::default(), refusals: Refusals::new(tell) }
    }

    /// That of `guest`, in its own process, before it runs. A refusal is a line on standard error, which is the container's log.
    pub fn of(guest: &Guest) -> Arc<Self> {
        let tell = |sentence: &str| {
            // Nobody is left to tell when this fails.
            let _ = io::stderr().write_all(format!("{sentence}\n").as_bytes());
        };
        Arc::new(Self::new(guest.outbound.clone(), Sources::default(), Box::new(tell)))
    }

    /// The addresses of `name`, as [`Lookup::addresses`] finds them. From now on they may be reached at the
    /// ports of the rules that name it.
    ///
    /// # Errors
    /// [`LookupError`]; `Refused` for a name that may not be looked up.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let asked = Asked::parse(name).ok_or_else(|| LookupError::Invalid(name.into()))?;
        if self.everything {
            return self.lookup.addresses_of(&asked).await;
        }
        let host = asked.host();
        // Of what is this machine nobody is asked, and nothing told: a rule for its address is enough.
        let asks = !matches!(asked, Asked::Local(_));
        if asks && !self.outbound.allows_lookup(&host) {
            let annotation = self.outbound.decides_lookup(&host);
            return Err(self.refused(format!("look up {host}: {annotation} does not name it")));
        }
        let addresses = self.lookup.addresses_of(&asked).await?;
        match asked {
            // An address names itself: only rules for addresses speak of it.
            Asked::Address(_) => {}
            // Who names this machine means it, and nobody else was asked.
            Asked::Local(_) => self.remember(&host, &addresses),
            Asked::Name { .. } => self.remember(&host, &self.ordinary(&host, &addresses)),
        }
        Ok(addresses)
    }

    /// Whether the guest may exchange anything with `address`. A refusal is told.
    pub fn may_reach(&self, address: SocketAddr) -> bool {
        let may = self.reaches(address);
        if !may {
            self.refused(not_named(&address.to_string()));
        }
        may
    }

    /// Where to connect to for `host`, a name or an address, with or without brackets, at `port`: all its
    /// addresses that may be reached, never none.
    ///
    /// # Errors
    /// [`LookupError`]; `Refused` when the name may not be looked up or none of its addresses be reached.
    pub async fn resolve_allowed(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let found = self.lookup(bare).await?;
        let found = found.into_iter().map(|address| SocketAddr::new(address, port));
        let found: Vec<SocketAddr> = found.filter(|address| self.reaches(*address)).collect();
        if found.is_empty() {
            return Err(self.refused(not_named(&format!("{host}:{port}"))));
        }
        Ok(found)
    }

    fn reaches(&self, address: SocketAddr) -> bool {
        if self.everything || self.outbound.names_address(address) {
            return true;
        }
        if address.port() == self.port && self.lookup.asks(address.ip()) {
            return false;
        }
        self.outbound.allows_address(address)
            || self.known.lock().unwrap_or_else(PoisonError::into_inner).holds(address)
    }

    /// Of the addresses that `host` has, those that a name may lead to. The others are told, where a rule names the
    /// host, and not them.
    fn ordinary(&self, host: &str, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let named = !self.outbound.ports_for_host(host).is_empty();
        let ordinary = |ip: &IpAddr| {
            let Some(special) = Special::of(*ip) else { return true };
            if named && !self.outbound.names_ip(*ip) {
                self.refusals.tell(&format!(
                    "lighter: the guest may not reach {ip} by the name {host}: it is {special}, and \
                     {ALLOWED_OUTBOUND} does not name that address"
                ));
            }
            false
        };
        addresses.iter().copied().filter(ordinary).collect()
    }

    fn remember(&self, host: &str, addresses: &[IpAddr]) {
        let ports = self.outbound.ports_for_host(host);
        if !ports.is_empty() {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.iter().for_each(|address| known.add(*address, &ports));
        }
    }

    fn refused(&self, what: String) -> LookupError {
        self.refusals.tell(&format!("lighter: the guest may not {what}"));
        LookupError::Refused(format!("the guest may not {what}"))
    }
}

fn not_named(target: &str) -> String {
    format!("connect to {target}: {ALLOWED_OUTBOUND} does not name it")
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").field("outbound", &self.outbound).finish_non_exhaustive()
    }
}
