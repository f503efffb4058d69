//! Asking the name servers, in the order and with the patience of glibc.
//!
//! Each server has a hickory resolver of its own, which is given full names
//! and asked once: whom to ask next, and which name to try next, is decided here.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RecordType};
use log::warn;

use crate::resolv_conf::ResolvConf;
use crate::sockets::Sockets;

/// Answers kept in memory for each server.
const MOST_KEPT: u64 = 256;
/// An address is asked for again after this time at the latest: a service may have moved.
const LONGEST_KEPT: Duration = Duration::from_secs(30);
/// A name that is not there may soon be: whoever waits for it asks again and again.
const LONGEST_ABSENT: Duration = Duration::from_secs(1);

/// The servers that a `resolv.conf` names.
pub struct Servers {
    conf: ResolvConf,
    resolvers: Vec<Resolver<Sockets>>,
    /// Where to begin next, if they take turns.
    turn: AtomicUsize,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// At least one address.
    Found(Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// The name has no address (of this kind).
    NoAddress,
    /// A server said that it could not answer.
    Failed(String),
    /// None said anything in time.
    Silent,
}

/// The ASCII form of a name with other letters in it.
pub fn ascii(name: &str) -> Option<String> {
    Name::from_utf8(name).ok().map(|name| name.to_ascii())
}

impl Servers {
    pub fn new(conf: ResolvConf, port: u16) -> Self {
        let resolvers = conf.servers.iter().filter_map(|server| resolver(*server, port, &conf)).collect();
        Self { conf, resolvers, turn: AtomicUsize::new(0) }
    }

    /// The addresses of the first name of the search list that has any. As in glibc, a server's failure is
    /// no reason to stop searching, but silence is.
    pub async fn addresses(&self, name: &str, absolute: bool) -> Answer {
        let mut outcome = Answer::NoName;
        for candidate in self.conf.candidates(name, absolute) {
            // What is too long with its domain is no name.
            let Ok(full) = Name::from_ascii(format!("{candidate}.")) else { continue };
            match self.both(&full).await {
                answer @ (Answer::Found(_) | Answer::Silent) => return answer,
                failed @ Answer::Failed(_) => outcome = failed,
                Answer::NoName | Answer::NoAddress => {}
            }
        }
        outcome
    }

    /// Whether nobody is asked.
    pub fn are_none(&self) -> bool {
        self.conf.servers.is_empty()
    }

    /// Whether this is one of them.
    pub fn hold(&self, ip: IpAddr) -> bool {
        self.conf.servers.iter().any(|server| server.to_canonical() == ip.to_canonical())
    }

    /// Who is asked, for a refusal's sentence.
    pub fn names(&self) -> String {
        self.conf.servers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
    }

    async fn both(&self, name: &Name) -> Answer {
        let first = if self.conf.rotate { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        if self.conf.no_ipv6 {
            return self.records(first, name, RecordType::A).await;
        }
        let (four, six) = tokio::join!(
            self.records(first, name, RecordType::A),
            self.records(first, name, RecordType::AAAA)
        );
        four.and(six)
    }

    /// Asks each server in turn until one knows, and all again while none said anything.
    async fn records(&self, first: usize, name: &Name, kind: RecordType) -> Answer {
        for _ in 0..self.conf.attempts {
            let mut failed = None;
            for turn in 0..self.resolvers.len() {
                let server = &self.resolvers[(first + turn) % self.resolvers.len()];
                match self.ask(server, name.clone(), kind).await {
                    Answer::Silent => {}
                    Answer::Failed(reason) => failed = Some(reason),
                    answer => return answer,
                }
            }
            if let Some(reason) = failed {
                return Answer::Failed(reason);
            }
        }
        Answer::Silent
    }

    async fn ask(&self, server: &Resolver<Sockets>, name: Name, kind: RecordType) -> Answer {
        let Ok(result) = tokio::time::timeout(self.conf.timeout, server.lookup(name, kind)).await else {
            return Answer::Silent;
        };
        match result {
            Ok(found) => {
                let found = found.answers().iter().filter_map(|record| record.data.ip_addr());
                let found: Vec<IpAddr> = found.collect();
                if found.is_empty() { Answer::NoAddress } else { Answer::Found(found) }
            }
            Err(error) if error.is_nx_domain() => Answer::NoName,
            Err(error) if error.is_no_records_found() => Answer::NoAddress,
            Err(NetError::Timeout | NetError::Io(_) | NetError::NoConnections | NetError::Busy) => {
                Answer::Silent
            }
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

impl Answer {
    /// What is known of a name when both kinds of addresses were asked for.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Found(mut four), Self::Found(six)) => {
                four.extend(six);
                Self::Found(four)
            }
            (found @ Self::Found(_), _) | (_, found @ Self::Found(_)) => found,
            (Self::NoName, _) | (_, Self::NoName) => Self::NoName,
            (Self::Silent, _) | (_, Self::Silent) => Self::Silent,
            (failed @ Self::Failed(_), _) | (_, failed @ Self::Failed(_)) => failed,
            (Self::NoAddress, Self::NoAddress) => Self::NoAddress,
        }
    }
}

fn resolver(server: IpAddr, port: u16, conf: &ResolvConf) -> Option<Resolver<Sockets>> {
    let kinds = if conf.tcp {
        vec![ConnectionConfig::tcp()]
    } else {
        vec![ConnectionConfig::udp(), ConnectionConfig::tcp()]
    };
    let at_port = |mut kind: ConnectionConfig| {
        kind.port = port;
        kind
    };
    let server_config = NameServerConfig::new(server, true, kinds.into_iter().map(at_port).collect());
    let config = ResolverConfig::from_name_servers(vec![server_config]);
    let mut builder = Resolver::builder_with_config(config, Sockets::default());
    *builder.options_mut() = options(conf);
    builder.build().inspect_err(|error| warn!("the name server {server} cannot be asked: {error}")).ok()
}

fn options(conf: &ResolvConf) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = conf.timeout;
    options.attempts = 0;
    options.edns0 = conf.edns;
    options.cache_size = MOST_KEPT;
    options.positive_max_ttl = Some(LONGEST_KEPT);
    options.negative_max_ttl = Some(LONGEST_ABSENT);
    options.use_hosts_file = ResolveHosts::Never;
    // A port out of all could be one that the guest is about to listen at.
    options.os_port_selection = true;
    options
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.conf.fmt(f)
    }
}
