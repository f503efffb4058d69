//! Parses `/etc/hosts`: lines of an address and its names.

use std::collections::HashMap;
use std::net::IpAddr;

/// Names in lower case, each with its addresses in the file's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Parses what it can. As glibc, ignores lines that do not begin with an address; one with a scope is not an
    /// address here.
    pub fn parse(text: &str) -> Self {
        let mut names: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
            for name in words {
                let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                let addresses = names.entry(name).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Self(names)
    }

    /// The addresses of `name`, which must be in lower case.
    pub fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read_as_glibc_does() {
        let hosts = Hosts::parse(
            "# Kubernetes-managed\n10.0.0.1\tA.example. a # b\n\n fd00::1 a\nfe80::1%lo0 c\nodd d\n10.0.0.1 a\n",
        );
        let check = |name: &str, expected: &[&str]| {
            let found = hosts.addresses(name).unwrap_or_default();
            assert_eq!(found.iter().map(IpAddr::to_string).collect::<Vec<_>>(), expected, "{name}");
        };
        check("a.example", &["10.0.0.1"]);
        check("a", &["10.0.0.1", "fd00::1"]);
        ["b", "c", "d", "odd"].iter().for_each(|name| check(name, &[]));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[0-9.:# a\n]{0,80}") {
            Hosts::parse(&String::from_utf8_lossy(&bytes));
            Hosts::parse(&text);
        }
    }
}
