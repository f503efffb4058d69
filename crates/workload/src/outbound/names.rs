//! Host names, and the names that an item matches.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::WrongItem;

/// Names, in lower case and without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Names {
    /// `*`: every name, and in a rule also every address.
    Any,
    /// This one.
    One(String),
    /// `*.SUFFIX`: all names with one or more labels before the suffix, not the suffix itself.
    Below(String),
}

impl Names {
    pub fn parse(item: &str) -> Result<Self, WrongItem> {
        if item == "*" {
            return Ok(Self::Any);
        }
        let (suffix, name) = match item.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, item),
        };
        if name.contains('*') {
            return Err(WrongItem::Star);
        }
        if !name.is_ascii() {
            return Err(WrongItem::Unicode(name.into()));
        }
        match host_name(name) {
            Some(name) if suffix => Ok(Self::Below(name)),
            Some(name) => Ok(Self::One(name)),
            None if name.contains('/') => Err(WrongItem::Url),
            None if name.contains([':', '[', ']']) || name.parse::<IpAddr>().is_ok() => {
                Err(WrongItem::NotAName)
            }
            None => Err(WrongItem::Name(name.into())),
        }
    }

    pub fn hold(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Any => true,
            Self::One(name) => host.eq_ignore_ascii_case(name),
            Self::Below(suffix) => host.len().checked_sub(suffix.len() + 1).is_some_and(|dot| {
                let (label, rest) = (host.get(..dot), host.get(dot..));
                label.is_some_and(|label| !label.is_empty() && !label.ends_with('.'))
                    && rest
                        .and_then(|rest| rest.strip_prefix('.'))
                        .is_some_and(|rest| rest.eq_ignore_ascii_case(suffix))
            }),
        }
    }
}

/// `text` as a host name, in lower case and without a trailing dot; `None` if it is not one: up to 253 letters,
/// digits, `-`, `_` and dots, up to 63 between two dots, and not only digits after the last dot, which would be (part
/// of) an address.
pub fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    (name.len() <= 253 && name.split('.').all(label) && !number).then(|| name.to_ascii_lowercase())
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}
