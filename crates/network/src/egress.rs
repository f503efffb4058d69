//! What a guest may reach: its container's rules, together with what the names in them led to.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use workload::{ALLOWED_OUTBOUND, Guest, Outbound};

use crate::asked::Asked;
use crate::known::Known;
use crate::refusals::{Refusals, Tell};
use crate::{Lookup, LookupError, Sources};

/// The one place where a guest's connections and look-ups are judged. Shared by reference or `Arc`.
///
/// The name servers themselves are asked whatever the rules say; a guest's own packets to them are judged.
/// A name is judged as the guest wrote it, before any domain is appended to it.
pub struct Egress {
    outbound: Outbound,
    everything: bool,
    lookup: Lookup,
    known: Mutex<Known>,
    refusals: Refusals,
}

impl Egress {
    /// `tell` is called with a sentence for each target refused, once; it must not call back.
    pub fn new(outbound: Outbound, lookup: Lookup, tell: Tell) -> Self {
        let everything = outbound.is_everything();
        Self { outbound, everything, lookup, known: Mutex::default(), refusals: Refusals::new(tell) }
    }

    /// That of `guest`, in its own process. A refusal is a line on standard error, which is the container's log.
    pub fn of(guest: &Guest) -> Arc<Self> {
        let tell = |sentence: &str| {
            // Nobody is left to tell when this fails.
            let _ = io::stderr().write_all(format!("{sentence}\n").as_bytes());
        };
        Arc::new(Self::new(guest.outbound.clone(), Lookup::new(Sources::default()), Box::new(tell)))
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
            let annotation = self.outbound.decides_lookups();
            return Err(self.refused(format!("look up {host}: {annotation} does not name it")));
        }
        let addresses = self.lookup.addresses_of(&asked).await?;
        // An address names itself: only rules for addresses speak of it.
        if !matches!(asked, Asked::Address(_)) {
            self.remember(&host, &addresses);
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
        self.everything
            || self.outbound.allows_address(address)
            || self.known.lock().unwrap_or_else(PoisonError::into_inner).holds(address)
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
