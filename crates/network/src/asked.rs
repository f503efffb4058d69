//! Parses what is looked up: an address, a loopback name, or a name for the name servers.

use std::net::IpAddr;

use workload::host_name;

use crate::dns;

/// The parsed text of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An address; nothing to look up.
    Address(IpAddr),
    /// `localhost` or a name below it.
    Local(String),
    /// Any other name.
    Name {
        /// In lower case, in its ASCII form, without a trailing dot.
        name: String,
        /// It had a trailing dot: no domain is appended.
        absolute: bool,
    },
}

impl Asked {
    /// Returns `None` for what is neither a host name nor an address. Encodes letters beyond ASCII (IDNA).
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address));
        }
        let name = if text.is_ascii() { host_name(text)? } else { host_name(&dns::ascii(text)?)? };
        if name == "localhost" || name.ends_with(".localhost") {
            return Some(Self::Local(name));
        }
        Some(Self::Name { name, absolute: text.ends_with('.') })
    }

    /// The name that rules are checked against.
    pub fn host(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Local(name) | Self::Name { name, .. } => name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_addresses_are_distinguished() {
        let name = |name: &str, absolute| Some(Asked::Name { name: name.into(), absolute });
        let check = |text: &str, expected| assert_eq!(Asked::parse(text), expected, "{text}");
        check("10.0.0.1", Some(Asked::Address([10, 0, 0, 1].into())));
        check("::1", Some(Asked::Address("::1".parse().unwrap())));
        check("Localhost.", Some(Asked::Local("localhost".into())));
        check("a.LOCALHOST", Some(Asked::Local("a.localhost".into())));
        check("notlocalhost", name("notlocalhost", false));
        check("Example.COM.", name("example.com", true));
        check("my_service", name("my_service", false));
        check("bücher.example", name("xn--bcher-kva.example", false));
        for odd in
            ["", ".", "a b", "a..b", "a\0", "a\\.b", "fe80::1%eth0", "127.1", "a/b", "*.a", &"a".repeat(64)]
        {
            check(odd, None);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,300}") {
            let _ = Asked::parse(&text).map(|asked| asked.host());
        }
    }
}
