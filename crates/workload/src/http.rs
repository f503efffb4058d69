//! How a guest that answers HTTP requests is served: where, and within which bounds.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use crate::Workload;
use crate::wishes::{WishError, Wishes};

/// The settings of one guest's server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Where it listens.
    pub address: SocketAddr,
    /// How many requests one copy of the guest answers before another takes its place.
    pub reuse: u64,
    /// How many requests are answered at once.
    pub concurrency: usize,
    /// How many more may wait for that; those that come then are told to come later.
    pub queue: usize,
    /// How many connections there may be; more wait until one ends.
    pub connections: usize,
    /// How many of them may come from one address; more are closed. `None` for as many as there may be.
    pub connections_per_peer: Option<usize>,
    /// How deep each copy may go, in bytes.
    pub stack: usize,
    /// Most bytes of a request's head.
    pub most_header: usize,
    /// Most bytes of a request's body.
    pub most_body: u64,
    /// How long a client may take for a request's head, and how long it may stand still.
    pub header_timeout: Duration,
    /// How long the guest may take until it answers.
    pub timeout: Duration,
    /// How long requests may go on that are being answered when the container is asked to end.
    pub grace: Duration,
    /// The path that is answered without the guest.
    pub health: Option<String>,
    /// What the server shows its clients, if it speaks TLS.
    pub tls: Option<Tls>,
    /// As many cores as the container may use, by its time and by its threads; `None` for all there are.
    pub cores: Option<NonZeroUsize>,
}

/// Files of the container, in PEM, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The certificate, then those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Names under which other runtimes' users have put the address, in the order in which they count.
const ADDRESS_VARIABLES: [&str; 3] = ["WASMTIME_HTTP_PROXY_SOCKET_ADDR", "PORT", "SPIN_HTTP_LISTEN_ADDR"];

const PER_PEER: &str = "http.connections-per-peer";

/// What differs by the world for which nothing is said.
pub(crate) struct Defaults {
    pub(crate) address: SocketAddr,
    pub(crate) reuse: u64,
}

impl Defaults {
    /// A component may keep anything in its memory.
    pub(crate) const COMPONENTS: Self =
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080), reuse: 1 };
}

impl Http {
    /// What `workload` asks for, and sane values for the rest.
    ///
    /// # Errors
    /// [`WishError`] for the first that cannot be understood.
    pub(crate) fn of(workload: &Workload, defaults: Defaults) -> Result<Self, WishError> {
        let wishes = Wishes::of(workload);
        let number =
            |name, usual, least, most| wishes.get(name).map_or(Ok(usual), |wish| wish.number(least, most));
        let count = |name, usual, least| {
            number(name, usual, least, 65_536).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        let bytes = |name, usual| wishes.get(name).map_or(Ok(usual), |wish| wish.bytes());
        let time = |name, usual: u64| {
            wishes.get(name).map_or(Ok(Duration::from_secs(usual)), |wish| wish.duration())
        };
        Ok(Self {
            address: address(&wishes, defaults.address)?,
            reuse: number("http.reuse", defaults.reuse, 1, u64::MAX)?,
            concurrency: count("http.concurrency", 256, 1)?,
            queue: count("http.queue", 1024, 0)?,
            connections: count("http.connections", 4096, 1)?,
            connections_per_peer: match wishes.get(PER_PEER) {
                Some(_) => Some(count(PER_PEER, 0, 1)?),
                None => None,
            },
            stack: bytes_between(&wishes, "http.stack", 512 << 10, (64 << 10, "64Ki"), (8 << 20, "8Mi"))?,
            // A whole head is held in memory, so there is a bound on the bound.
            most_header: bytes_between(
                &wishes,
                "http.max-header",
                64 << 10,
                (8 << 10, "8Ki"),
                (1 << 20, "1Mi"),
            )?,
            most_body: bytes("http.max-body", 128 << 20)?,
            header_timeout: time("http.header-timeout", 60)?,
            timeout: time("http.timeout", 30)?,
            grace: time("http.grace", 25)?,
            health: health(&wishes)?,
            tls: tls(&wishes)?,
            cores: workload.resources().and_then(cores),
        })
    }
}

fn address(wishes: &Wishes<'_>, default: SocketAddr) -> Result<SocketAddr, WishError> {
    let elsewhere = || ADDRESS_VARIABLES.iter().find_map(|name| wishes.variable(name));
    wishes.get("http.address").or_else(elsewhere).map_or(Ok(default), |wish| wish.address())
}

/// Some bytes, `usual` where nothing is said; bounds are given with their names.
fn bytes_between(
    wishes: &Wishes<'_>,
    name: &'static str,
    usual: usize,
    (least, least_named): (u64, &str),
    (most, most_named): (u64, &str),
) -> Result<usize, WishError> {
    let Some(wish) = wishes.get(name) else { return Ok(usual) };
    let bytes = wish.bytes()?;
    let fits = (least..=most).contains(&bytes).then(|| usize::try_from(bytes).ok()).flatten();
    fits.ok_or_else(|| wish.refused(format!("a number of bytes from {least_named} to {most_named}")))
}

fn health(wishes: &Wishes<'_>) -> Result<Option<String>, WishError> {
    let Some(wish) = wishes.get("http.health") else { return Ok(None) };
    if wish.text().starts_with('/') {
        Ok(Some(wish.text().into()))
    } else {
        Err(wish.refused("a path that begins with /"))
    }
}

fn tls(wishes: &Wishes<'_>) -> Result<Option<Tls>, WishError> {
    let wish = |name| {
        let wish = wishes.get(name)?;
        let absolute = wish.text().starts_with('/');
        Some(if absolute { Ok(wish) } else { Err(wish.refused("an absolute path in the container")) })
    };
    match (wish("http.tls-certificate").transpose()?, wish("http.tls-key").transpose()?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(Tls { certificate: certificate.text().into(), key: key.text().into() }))
        }
        (Some(alone), None) => Err(alone.refused("accompanied by lighter.wasm/http.tls-key")),
        (None, Some(alone)) => Err(alone.refused("accompanied by lighter.wasm/http.tls-certificate")),
    }
}

/// As many as there is time for, and threads.
fn cores(resources: &LinuxResources) -> Option<NonZeroUsize> {
    quota(resources).into_iter().chain(threads(resources)).min()
}

/// As many as can work within the limit of processes and threads. A server has its clock and a thread that waits
/// besides; one that works alone does that itself.
fn threads(resources: &LinuxResources) -> Option<NonZeroUsize> {
    const BESIDES: i64 = 2;
    let limit = resources.pids().as_ref()?.limit();
    let left = usize::try_from(limit.saturating_sub(BESIDES)).unwrap_or(0);
    (limit > 0).then(|| NonZeroUsize::new(left).unwrap_or(NonZeroUsize::MIN))
}

/// The quota in whole cores: a container with half a core still needs one thread.
fn quota(resources: &LinuxResources) -> Option<NonZeroUsize> {
    let cpu = resources.cpu().as_ref()?;
    let quota = u64::try_from(cpu.quota()?).ok().filter(|quota| *quota > 0)?;
    let period = cpu.period().filter(|period| *period > 0).unwrap_or(100_000);
    NonZeroUsize::new(usize::try_from(quota.div_ceil(period)).ok()?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Options;

    fn http(annotations: &str, env: &str, cpu: &str) -> Result<Http, String> {
        let json = format!(
            r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"annotations":{{{annotations}}},
                "linux":{{"resources":{{"cpu":{{{cpu}}}}}}},
                "process":{{"user":{{"uid":0,"gid":0}},"cwd":"/","args":["a.wasm"],"env":[{env}]}}}}"#
        );
        let workload = Workload::read("c", Path::new("/b"), json.as_bytes(), Options::default()).unwrap();
        Http::of(&workload, Defaults::COMPONENTS).map_err(|error| error.to_string())
    }

    #[test]
    fn the_address_is_found_where_users_put_it() {
        let check = |annotations: &str, env: &str, address: &str| {
            assert_eq!(
                http(annotations, env, "").unwrap().address.to_string(),
                address,
                "{annotations} {env}"
            );
        };
        check("", "", "0.0.0.0:8080");
        check("", r#""SPIN_HTTP_LISTEN_ADDR=127.0.0.1:3000""#, "127.0.0.1:3000");
        check("", r#""SPIN_HTTP_LISTEN_ADDR=127.0.0.1:3000","PORT=81""#, "0.0.0.0:81");
        check("", r#""PORT=81","WASMTIME_HTTP_PROXY_SOCKET_ADDR=[::]:82""#, "[::]:82");
        check("", r#""PORT=81","LIGHTER_HTTP_ADDRESS=83""#, "0.0.0.0:83");
        check(r#""lighter.wasm/http.address":"84""#, r#""LIGHTER_HTTP_ADDRESS=83""#, "0.0.0.0:84");
    }

    #[test]
    fn a_server_has_as_many_threads_as_it_may() {
        let check = |resources: &str, cores: Option<usize>| {
            let resources: LinuxResources = serde_json::from_str(&format!("{{{resources}}}")).unwrap();
            assert_eq!(super::cores(&resources).map(NonZeroUsize::get), cores, "{resources:?}");
        };
        let cpu = r#""cpu":{"quota":250000,"period":100000}"#;
        check("", None);
        check(cpu, Some(3));
        for (limit, cores) in [(1, 1), (2, 1), (3, 1), (4, 2), (9, 7)] {
            check(&format!(r#""pids":{{"limit":{limit}}}"#), Some(cores));
        }
        // Docker and containerd say so of no limit.
        check(r#""pids":{"limit":-1}"#, None);
        check(r#""pids":{"limit":0}"#, None);
        check(&format!(r#"{cpu},"pids":{{"limit":4}}"#), Some(2));
        check(&format!(r#"{cpu},"pids":{{"limit":100}}"#), Some(3));
    }

    #[test]
    fn bounds_are_read_or_refused() {
        let env = r#""LIGHTER_HTTP_REUSE=10","LIGHTER_HTTP_MAX_BODY=1Mi","LIGHTER_HTTP_HEALTH=/up","LIGHTER_HTTP_TIMEOUT=2s",
            "LIGHTER_HTTP_TLS_CERTIFICATE=/t/tls.crt","LIGHTER_HTTP_TLS_KEY=/t/tls.key""#;
        let read = http("", env, r#""quota":150000,"period":100000"#).unwrap();
        assert_eq!((read.reuse, read.most_body, read.timeout.as_secs()), (10, 1 << 20, 2));
        assert_eq!((read.health.as_deref(), read.cores), (Some("/up"), NonZeroUsize::new(2)));
        assert_eq!(read.tls.unwrap().key, Path::new("/t/tls.key"));
        let usual = http("", "", r#""quota":-1"#).unwrap();
        assert_eq!((usual.connections, usual.connections_per_peer), (4096, None));
        let few = http("", r#""LIGHTER_HTTP_CONNECTIONS_PER_PEER=16""#, "").unwrap();
        assert_eq!(few.connections_per_peer, Some(16));
        assert_eq!((usual.reuse, usual.cores, usual.tls, usual.stack), (1, None, None, 512 << 10));
        let check = |env: &str, words: &str| {
            let told = http("", env, "").unwrap_err();
            assert!(told.contains(words), "{told}");
        };
        check(r#""LIGHTER_HTTP_REUSE=0""#, "LIGHTER_HTTP_REUSE says \"0\"; it must be a whole number from 1");
        check(r#""LIGHTER_HTTP_MAX_HEADER=9Gi""#, "from 8Ki to 1Mi");
        check(r#""LIGHTER_HTTP_STACK=1Ki""#, "from 64Ki to 8Mi");
        check(r#""LIGHTER_HTTP_HEALTH=up""#, "begins with /");
        check(r#""PORT=http""#, "the variable PORT says \"http\"; it must be an address");
        check(r#""LIGHTER_HTTP_TLS_KEY=/k""#, "accompanied by lighter.wasm/http.tls-certificate");
    }
}
