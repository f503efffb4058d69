//! Queries the name servers in glibc's order and with its timeouts.
//!
//! Each server has a hickory resolver of its own, which gets full names and queries once: the next server and the
//! next name are chosen here.

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

/// Max number of cached answers per server.
const MAX_CACHED: u64 = 256;
/// Max time that an address is cached: a service may have moved.
const LONGEST_KEPT: Duration = Duration::from_secs(30);
/// Max time that an absent name is cached: clients that wait for a new name query repeatedly.
const LONGEST_ABSENT: Duration = Duration::from_secs(1);

/// The name servers of a `resolv.conf`.
pub struct Servers {
    conf: ResolvConf,
    resolvers: Vec<Resolver<Sockets>>,
    /// Which server is next, with `rotate`.
    turn: AtomicUsize,
}

/// The outcome of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsAnswer {
    /// At least one address.
    Found(Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// The name has no address (of this kind).
    NoAddress,
    /// A server reported that it could not answer.
    Failed(String),
    /// No server answered in time.
    Silent,
}

/// The ASCII form (IDNA) of a name with other letters.
pub fn ascii(name: &str) -> Option<String> {
    Name::from_utf8(name).ok().map(|name| name.to_ascii())
}

impl Servers {
    pub fn new(conf: ResolvConf, port: u16) -> Self {
        let resolvers = conf.servers.iter().filter_map(|server| resolver(*server, port, &conf)).collect();
        Self { conf, resolvers, turn: AtomicUsize::new(0) }
    }

    /// The addresses of the first name on the search list that has any. As in glibc, a server failure does not end
    /// the search, but silence does.
    pub async fn addresses(&self, name: &str, absolute: bool) -> DnsAnswer {
        let mut outcome = DnsAnswer::NoName;
        for candidate in self.conf.candidates(name, absolute) {
            // A name that is too long with its domain appended is not a name.
            let Ok(full) = Name::from_ascii(format!("{candidate}.")) else { continue };
            match self.both(&full).await {
                answer @ (DnsAnswer::Found(_) | DnsAnswer::Silent) => return answer,
                failed @ DnsAnswer::Failed(_) => outcome = failed,
                DnsAnswer::NoName | DnsAnswer::NoAddress => {}
            }
        }
        outcome
    }

    /// Whether there are no servers.
    pub fn are_none(&self) -> bool {
        self.conf.servers.is_empty()
    }

    /// Whether `ip` is one of the servers.
    pub fn hold(&self, ip: IpAddr) -> bool {
        self.conf.servers.iter().any(|server| server.to_canonical() == ip.to_canonical())
    }

    /// The servers' addresses, for an error message.
    pub fn names(&self) -> String {
        self.conf.servers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
    }

    async fn both(&self, name: &Name) -> DnsAnswer {
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

    /// Queries each server in turn until one answers, and all of them again while none does.
    async fn records(&self, first: usize, name: &Name, kind: RecordType) -> DnsAnswer {
        for _ in 0..self.conf.attempts {
            let mut failed = None;
            for turn in 0..self.resolvers.len() {
                let server = &self.resolvers[(first + turn) % self.resolvers.len()];
                match self.ask(server, name.clone(), kind).await {
                    DnsAnswer::Silent => {}
                    DnsAnswer::Failed(reason) => failed = Some(reason),
                    answer => return answer,
                }
            }
            if let Some(reason) = failed {
                return DnsAnswer::Failed(reason);
            }
        }
        DnsAnswer::Silent
    }

    async fn ask(&self, server: &Resolver<Sockets>, name: Name, kind: RecordType) -> DnsAnswer {
        let Ok(result) = tokio::time::timeout(self.conf.timeout, server.lookup(name, kind)).await else {
            return DnsAnswer::Silent;
        };
        match result {
            Ok(found) => {
                let found = found.answers().iter().filter_map(|record| record.data.ip_addr());
                let found: Vec<IpAddr> = found.collect();
                if found.is_empty() { DnsAnswer::NoAddress } else { DnsAnswer::Found(found) }
            }
            Err(error) if error.is_nx_domain() => DnsAnswer::NoName,
            Err(error) if error.is_no_records_found() => DnsAnswer::NoAddress,
            Err(NetError::Timeout | NetError::Io(_) | NetError::NoConnections | NetError::Busy) => {
                DnsAnswer::Silent
            }
            Err(error) => DnsAnswer::Failed(error.to_string()),
        }
    }
}

impl DnsAnswer {
    /// Combines the outcomes for IPv4 and IPv6.
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
    options.cache_size = MAX_CACHED;
    options.positive_max_ttl = Some(LONGEST_KEPT);
    options.negative_max_ttl = Some(LONGEST_ABSENT);
    options.use_hosts_file = ResolveHosts::Never;
    // A random port of ours could be one that the guest is about to listen on.
    options.os_port_selection = true;
    options
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.conf.fmt(f)
    }
}
