//! Where a guest may connect and which names it may look up: by its container's annotations, and at most by the
//! runtime's options.
//!
//! Judges only what is written. It resolves no name and queries no server.

mod names;
mod special;
mod target;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use names::host_name;
pub use special::Special;

use names::Names;
use target::{Rule, Target};

/// The annotation with the targets that a guest may connect to: `TARGET[:PORT]`, separated by commas.
pub const ALLOWED_OUTBOUND: &str = "lighter.wasm/allowed-outbound";
/// The annotation with the names that a guest may look up, separated by commas.
pub const ALLOWED_LOOKUP: &str = "lighter.wasm/allowed-lookup";

/// What a guest may reach. Without annotations, everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbound {
    /// `None`: everything.
    rules: Option<Vec<Rule>>,
    /// `None`: the names in the rules.
    lookup: Option<Vec<Names>>,
    /// A further restriction of those names.
    narrower: Option<Vec<Names>>,
    origin: Origin,
}

/// Where rules are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Origin {
    /// In the container's annotations or variables.
    #[default]
    Container,
    /// In the runtime's options, by the node's operator.
    Runtime,
}

impl Origin {
    /// The annotation or option with the targets to connect to.
    fn outbound(self) -> &'static str {
        match self {
            Self::Container => ALLOWED_OUTBOUND,
            Self::Runtime => "the option AllowedOutbound",
        }
    }

    /// The annotation or option with the names to look up.
    fn lookup(self) -> &'static str {
        match self {
            Self::Container => ALLOWED_LOOKUP,
            Self::Runtime => "the option AllowedLookup",
        }
    }
}

/// An annotation or an option with an invalid item.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}{said_by} names {item:?}, {wrong}", if said_by.starts_with("the ") { "" } else { "the annotation " })]
pub struct OutboundError {
    /// The annotation, or `the option` and its name.
    pub said_by: &'static str,
    /// The item as written, trimmed.
    pub item: String,
    /// What is wrong with it.
    pub wrong: WrongItem,
}

/// What is wrong with an item.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WrongItem {
    /// `https://…`, or a path.
    #[error("which is a URL; write its host, or HOST:PORT")]
    Url,
    /// Neither a host name nor an address.
    #[error("where {0:?} is neither a host name nor an address")]
    Name(String),
    /// A star that is not the whole first label.
    #[error("where '*' stands for a part of a name; write '*' or '*.SUFFIX'")]
    Star,
    /// Letters that no host name has on the wire.
    #[error("where {0:?} is not plain ASCII; write the name in its xn-- form")]
    Unicode(String),
    /// The part before `/` is not an address.
    #[error("where {0:?} before the '/' is not an address")]
    Network(String),
    /// The part after `/` is not a prefix length.
    #[error("where {0:?} is not the length of a prefix, 0 to {1}")]
    Prefix(String, u8),
    /// An unmatched bracket, or brackets around something other than an IPv6 address.
    #[error("where the brackets are not around an IPv6 address; write [ADDRESS]:PORT")]
    Brackets,
    /// Not a port.
    #[error("where {0:?} is not a port; write 1 to 65535, FIRST-LAST or '*'")]
    Port(String),
    /// An address or a port where only names are expected.
    #[error("which is more than a name, or none; write HOST, '*.SUFFIX' or '*'")]
    NotAName,
}

impl Outbound {
    /// What a container without annotations may reach.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Parses the values of the two annotations, `None` for an absent one. Empty items are ignored.
    ///
    /// # Errors
    /// [`OutboundError`] for the first invalid item.
    pub fn parse(outbound: Option<&str>, lookup: Option<&str>) -> Result<Self, OutboundError> {
        Self::written(Origin::Container, outbound, lookup)
    }

    /// Parses the values of the runtime's options: the upper limit for any guest.
    ///
    /// # Errors
    /// As [`Outbound::parse`].
    pub fn floor(outbound: Option<&str>, lookup: Option<&str>) -> Result<Self, OutboundError> {
        Self::written(Origin::Runtime, outbound, lookup)
    }

    fn written(origin: Origin, outbound: Option<&str>, lookup: Option<&str>) -> Result<Self, OutboundError> {
        Ok(Self {
            rules: outbound.map(|text| items(origin.outbound(), text, Rule::parse)).transpose()?,
            lookup: lookup.map(|text| items(origin.lookup(), text, Names::parse)).transpose()?,
            narrower: None,
            origin,
        })
    }

    /// Restricts look-ups to the names of `lookup`, a list as [`Outbound::parse`] reads it, from a source that may
    /// remove names but not add any.
    ///
    /// # Errors
    /// As [`Outbound::parse`].
    pub fn narrowed(self, lookup: Option<&str>) -> Result<Self, OutboundError> {
        let narrower = lookup.map(|text| items(ALLOWED_LOOKUP, text, Names::parse)).transpose()?;
        Ok(Self { narrower, ..self })
    }

    /// Whether it refuses nothing, neither connections nor look-ups.
    pub fn is_everything(&self) -> bool {
        let all = |names: &Vec<Names>| names.contains(&Names::Any);
        let lists = [&self.lookup, &self.narrower];
        self.connects_anywhere() && lists.iter().all(|list| list.as_ref().is_none_or(all))
    }

    fn connects_anywhere(&self) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.iter().any(Rule::is_everything))
    }

    /// Whether this address may be reached without a name: there are no rules, or one is `*`; or one names the
    /// address or its network, or is `*` with a port, which matches every address except a special one. An
    /// IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn allows_address(&self, address: SocketAddr) -> bool {
        let star = |target: &Target| *target == Target::Names(Names::Any);
        self.names_address(address)
            || self.connects_anywhere()
            || (Special::of(address.ip()).is_none() && self.judge(address.port(), star))
    }

    /// Whether a rule names this address, or a network that contains it, numerically.
    pub fn names_address(&self, address: SocketAddr) -> bool {
        self.rules.is_some() && self.judge(address.port(), |target| holds(target, address.ip()))
    }

    /// The same at any port.
    pub fn names_ip(&self, ip: IpAddr) -> bool {
        self.rules.iter().flatten().any(|rule| holds(&rule.target, ip))
    }

    /// Whether a rule names this host, by name or, if it is an address, by address.
    pub fn allows_host(&self, host: &str, port: u16) -> bool {
        match address(host) {
            Some(ip) => self.allows_address((ip, port).into()),
            None => self.judge(port, |target| names(target, host)),
        }
    }

    /// The ports that rules by name allow on `host`: those of its addresses, once they are resolved. Empty if no rule
    /// names it; `*` needs no look-up and names no host.
    pub fn ports_for_host(&self, host: &str) -> Vec<RangeInclusive<u16>> {
        let by_name = |rule: &&Rule| rule.target != Target::Names(Names::Any) && names(&rule.target, host);
        self.rules.iter().flatten().filter(by_name).map(|rule| rule.ports.range()).collect()
    }

    /// Whether `host` may be looked up. Always true for an address, which needs no look-up.
    pub fn allows_lookup(&self, host: &str) -> bool {
        let by_rules =
            || self.rules.as_ref().is_none_or(|rules| rules.iter().any(|r| names(&r.target, host)));
        let by_names = |list: &Vec<Names>| list.iter().any(|names| names.hold(host));
        address(host).is_some()
            || (self.lookup.as_ref().map_or_else(by_rules, by_names)
                && self.narrower.as_ref().is_none_or(by_names))
    }

    /// The annotation or option that decides about connections, for an error message.
    pub fn decides(&self) -> &'static str {
        self.origin.outbound()
    }

    /// The annotation or option that refuses the look-up of `host`, for an error message.
    pub fn decides_lookup(&self, host: &str) -> &'static str {
        let narrowed = self.narrower.as_ref().is_some_and(|list| !list.iter().any(|names| names.hold(host)));
        if self.lookup.is_some() || narrowed { self.origin.lookup() } else { self.origin.outbound() }
    }

    fn judge(&self, port: u16, mut is_meant: impl FnMut(&Target) -> bool) -> bool {
        let Some(rules) = &self.rules else { return true };
        rules.iter().any(|rule| rule.ports.range().contains(&port) && is_meant(&rule.target))
    }
}

/// Whether a target is a network that contains this address.
fn holds(target: &Target, ip: IpAddr) -> bool {
    matches!(target, Target::Network(network) if network.holds(ip.to_canonical()))
}

/// Whether a target names `host`.
fn names(target: &Target, host: &str) -> bool {
    matches!(target, Target::Names(names) if names.hold(host))
}

/// The address that `host` is, with or without brackets.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

fn items<T>(
    said_by: &'static str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, WrongItem>,
) -> Result<Vec<T>, OutboundError> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let invalid = |item: &str, wrong| OutboundError { said_by, item: item.into(), wrong };
    items.map(|item| parse(item).map_err(|wrong| invalid(item, wrong))).collect()
}

/// The values of the annotations, as [`Outbound::parse`] reads them; `-` for an absent one.
impl fmt::Display for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: ToString>(items: Option<&Vec<T>>) -> String {
            let join = |all: &Vec<T>| all.iter().map(T::to_string).collect::<Vec<_>>().join(",");
            items.map_or_else(|| "-".into(), join)
        }
        write!(f, "{} {}", list(self.rules.as_ref()), list(self.lookup.as_ref()))
    }
}

#[cfg(test)]
mod tests;
