//! Parses `/etc/resolv.conf`, with glibc's defaults and limits, and makes the search list.
//!
//! Ignores `LOCALDOMAIN` and `RES_OPTIONS`, and the host's name, from which glibc takes a missing domain.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use log::warn;
use workload::host_name;

/// Max number of name servers.
const MAX_SERVERS: usize = 3;
/// Max number of search domains: as many as Kubernetes writes.
const MAX_DOMAINS: usize = 32;
const MAX_DOTS: u64 = 15;
const MAX_SECONDS: u64 = 30;
const MAX_ATTEMPTS: u64 = 5;

/// How names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The name servers.
    pub servers: Vec<IpAddr>,
    /// The domains to append, in lower case; empty for the root.
    pub search: Vec<String>,
    /// A name with at least this many dots is tried as it is first.
    pub ndots: usize,
    /// The timeout for one server.
    pub timeout: Duration,
    /// How many times all servers are queried.
    pub attempts: usize,
    /// Start with another server for each query.
    pub rotate: bool,
    /// Query by TCP only (`use-vc`).
    pub tcp: bool,
    /// Never query IPv6 addresses (`no-aaaa`).
    pub no_ipv6: bool,
    /// Announce a larger buffer for answers (`edns0`).
    pub edns: bool,
}

impl Default for ResolvConf {
    /// glibc's defaults.
    fn default() -> Self {
        Self {
            servers: vec![],
            search: vec![],
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            tcp: false,
            no_ipv6: false,
            edns: false,
        }
    }
}

impl ResolvConf {
    /// Parses what it can; logs and ignores the rest.
    pub fn parse(text: &str) -> Self {
        let mut read = Self::default();
        let mut servers = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().and_then(server)),
                Some("domain") => read.search = words.take(1).filter_map(domain).collect(),
                Some("search") => read.search = words.filter_map(domain).take(MAX_DOMAINS).collect(),
                Some("options") => words.for_each(|word| read.set(word)),
                None | Some("sortlist") => {}
                Some(_) => warn!("resolv.conf: the line {line:?} is not understood"),
            }
        }
        servers.truncate(MAX_SERVERS);
        Self { servers, ..read }
    }

    /// Adds glibc's default, this machine, if no server is named.
    pub fn or_this_machine(mut self) -> Self {
        if self.servers.is_empty() {
            self.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        self
    }

    fn set(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let number = |min: u64, max: u64| value.parse::<u64>().ok().map(|value| value.clamp(min, max));
        match (name, number(0, MAX_DOTS), number(1, MAX_SECONDS), number(1, MAX_ATTEMPTS)) {
            ("ndots", Some(dots), ..) => self.ndots = usize::try_from(dots).unwrap_or(1),
            ("timeout", _, Some(seconds), _) => self.timeout = Duration::from_secs(seconds),
            ("attempts", .., Some(attempts)) => self.attempts = usize::try_from(attempts).unwrap_or(1),
            ("ndots" | "timeout" | "attempts", ..) => warn!("resolv.conf: {option:?} is not a number"),
            ("rotate", ..) => self.rotate = true,
            ("use-vc", ..) => self.tcp = true,
            ("no-aaaa", ..) => self.no_ipv6 = true,
            ("edns0", ..) => self.edns = true,
            // Without effect on a resolver that uses a new port for each query, or unknown to glibc as well.
            _ => {}
        }
    }

    /// The full names to try for `name`, in order, without a trailing dot.
    pub fn candidates(&self, name: &str, absolute: bool) -> Vec<String> {
        let itself = || name.to_owned();
        if absolute {
            return vec![itself()];
        }
        let below = self.search.iter().map(|domain| match domain.as_str() {
            "" => itself(),
            domain => format!("{name}.{domain}"),
        });
        let early = name.matches('.').count() >= self.ndots;
        let all = early.then(itself).into_iter().chain(below).chain([itself()]);
        let mut candidates: Vec<String> = Vec::new();
        for candidate in all {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }
}

fn server(word: &str) -> Option<IpAddr> {
    let address = word.parse().ok();
    if address.is_none() {
        warn!("resolv.conf: the name server {word:?} is not an address; one with a scope is not asked");
    }
    address
}

fn domain(word: &str) -> Option<String> {
    let domain = if word == "." { Some(String::new()) } else { host_name(word) };
    if domain.is_none() {
        warn!("resolv.conf: {word:?} is not a domain to search");
    }
    domain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read_as_glibc_does() {
        let check = |text: &str, change: fn(&mut ResolvConf)| {
            let mut expected = ResolvConf::default();
            change(&mut expected);
            assert_eq!(ResolvConf::parse(text), expected, "{text}");
        };
        check("", |_| {});
        check("# nameserver 10.0.0.1\n;\nodd line\nnameserver\nnameserver x\noptions", |_| {});
        check("nameserver fe80::1%eth0\n nameserver\t10.0.0.1 x\n", |c| {
            c.servers = vec![[10, 0, 0, 1].into()]
        });
        check("nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4", |c| {
            c.servers = (1..=3).map(|last| [1, 0, 0, last].into()).collect();
        });
        check("search a.b C.\ndomain d e", |c| c.search = vec!["d".into()]);
        check("domain d\nsearch a.b C. . -!", |c| c.search = vec!["a.b".into(), "c".into(), String::new()]);
        check("options ndots:5 timeout:1 attempts:3 rotate", |c| {
            (c.ndots, c.timeout, c.attempts, c.rotate) = (5, Duration::from_secs(1), 3, true);
        });
        check("options ndots:99 timeout:99\noptions attempts:99", |c| {
            (c.ndots, c.timeout, c.attempts) = (15, Duration::from_secs(30), 5);
        });
        check("options timeout:0 attempts:0 ndots:0", |c| {
            (c.ndots, c.timeout, c.attempts) = (0, Duration::from_secs(1), 1);
        });
        check("options ndots: timeout:x attempts:-1 trust-ad single-request", |_| {});
        check("options use-vc no-aaaa edns0", |c| (c.tcp, c.no_ipv6, c.edns) = (true, true, true));
    }

    #[test]
    fn names_are_searched_for_as_glibc_does() {
        let check = |text: &str, name: &str, expected: &[&str]| {
            assert_eq!(ResolvConf::parse(text).candidates(name, false), expected, "{text}: {name}");
        };
        check("", "a", &["a"]);
        check("search x y", "a", &["a.x", "a.y", "a"]);
        check("search x y", "a.b", &["a.b", "a.b.x", "a.b.y"]);
        check("search x\noptions ndots:5", "a.b", &["a.b.x", "a.b"]);
        check("search x .\noptions ndots:5", "a", &["a.x", "a"]);
        check("search . x", "a", &["a", "a.x"]);
        assert_eq!(ResolvConf::parse("search x").candidates("a", true), ["a"]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..300), rest in "[ -~\t]{0,40}") {
            ResolvConf::parse(&String::from_utf8_lossy(&bytes));
            for word in ["nameserver", "search", "domain", "options", "options ndots:", "options timeout:"] {
                let read = ResolvConf::parse(&format!("{word} {rest}\n{word}{rest}"));
                prop_assert!(read.attempts > 0 && !read.timeout.is_zero());
                prop_assert!(!read.clone().or_this_machine().servers.is_empty());
                prop_assert!(!read.candidates("a.b", false).is_empty());
            }
        }
    }
}
