//! The settings of a guest's HTTP server: its address and its limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use crate::Workload;
use crate::settings::{ContainerSettings, SettingError};

/// The settings of one guest's server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Where it listens.
    pub address: SocketAddr,
    /// Max number of requests that one instance answers before a new one replaces it.
    pub reuse: u64,
    /// Max number of concurrent requests.
    pub concurrency: usize,
    /// Max number of requests that wait for that; any more are refused.
    pub queue: usize,
    /// Max number of connections; any more wait until one ends.
    pub connections: usize,
    /// Max number of connections from one address; any more are closed. `None` for no limit of its own.
    pub connections_per_peer: Option<usize>,
    /// The stack size of an instance, in bytes.
    pub stack: usize,
    /// Max size of a request's head, in bytes.
    pub max_header: usize,
    /// Max size of a request's body, in bytes.
    pub max_body: u64,
    /// The timeout for a request's head, and for a client that makes no progress.
    pub header_timeout: Duration,
    /// The timeout for the guest's answer.
    pub timeout: Duration,
    /// How long current requests may continue when the container is terminated.
    pub grace: Duration,
    /// The path of the health check, which is answered without the guest.
    pub health: Option<String>,
    /// The server's certificate, if it uses TLS.
    pub tls: Option<Tls>,
    /// How many cores the container's limits of CPU time and threads allow; `None` for all.
    pub cores: Option<NonZeroUsize>,
}

/// Files of the container, in PEM, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The certificate, followed by its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The address's variables in other runtimes, in order of precedence.
const ADDRESS_VARIABLES: [&str; 3] = ["WASMTIME_HTTP_PROXY_SOCKET_ADDR", "PORT", "SPIN_HTTP_LISTEN_ADDR"];

const PER_PEER: &str = "http.connections-per-peer";

/// The defaults that depend on the world.
pub(crate) struct Defaults {
    pub(crate) address: SocketAddr,
    pub(crate) reuse: u64,
}

impl Defaults {
    /// A component may keep state in its memory.
    pub(crate) const COMPONENTS: Self =
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080), reuse: 1 };
}

impl Http {
    /// The settings of `workload`, with defaults for those that are not set.
    ///
    /// # Errors
    /// [`SettingError`] for the first invalid one.
    pub(crate) fn of(workload: &Workload, defaults: Defaults) -> Result<Self, SettingError> {
        let settings = ContainerSettings::of(workload);
        let number = |name, default, min, max| {
            settings.get(name).map_or(Ok(default), |setting| setting.number(min, max))
        };
        let count = |name, default, min| {
            number(name, default, min, 65_536).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        let bytes = |name, default| settings.get(name).map_or(Ok(default), |setting| setting.bytes());
        let time = |name, default: u64| {
            settings.get(name).map_or(Ok(Duration::from_secs(default)), |setting| setting.duration())
        };
        Ok(Self {
            address: address(&settings, defaults.address)?,
            reuse: number("http.reuse", defaults.reuse, 1, u64::MAX)?,
            concurrency: count("http.concurrency", 256, 1)?,
            queue: count("http.queue", 1024, 0)?,
            connections: count("http.connections", 4096, 1)?,
            connections_per_peer: match settings.get(PER_PEER) {
                Some(_) => Some(count(PER_PEER, 0, 1)?),
                None => None,
            },
            stack: bytes_between(&settings, "http.stack", 512 << 10, (64 << 10, "64Ki"), (8 << 20, "8Mi"))?,
            // A whole head is held in memory, so this limit is limited itself.
            max_header: bytes_between(
                &settings,
                "http.max-header",
                64 << 10,
                (8 << 10, "8Ki"),
                (1 << 20, "1Mi"),
            )?,
            max_body: bytes("http.max-body", 128 << 20)?,
            header_timeout: time("http.header-timeout", 60)?,
            timeout: time("http.timeout", 30)?,
            grace: time("http.grace", 25)?,
            health: health(&settings)?,
            tls: tls(&settings)?,
            cores: workload.resources().and_then(cores),
        })
    }
}

fn address(settings: &ContainerSettings<'_>, default: SocketAddr) -> Result<SocketAddr, SettingError> {
    let elsewhere = || ADDRESS_VARIABLES.iter().find_map(|name| settings.variable(name));
    settings.get("http.address").or_else(elsewhere).map_or(Ok(default), |setting| setting.address())
}

/// A number of bytes, `default` if it is not set; limits come with their names.
fn bytes_between(
    settings: &ContainerSettings<'_>,
    name: &'static str,
    default: usize,
    (min, min_named): (u64, &str),
    (max, max_named): (u64, &str),
) -> Result<usize, SettingError> {
    let Some(setting) = settings.get(name) else { return Ok(default) };
    let bytes = setting.bytes()?;
    let fits = (min..=max).contains(&bytes).then(|| usize::try_from(bytes).ok()).flatten();
    fits.ok_or_else(|| setting.refused(format!("a number of bytes from {min_named} to {max_named}")))
}

fn health(settings: &ContainerSettings<'_>) -> Result<Option<String>, SettingError> {
    let Some(setting) = settings.get("http.health") else { return Ok(None) };
    if setting.text().starts_with('/') {
        Ok(Some(setting.text().into()))
    } else {
        Err(setting.refused("a path that begins with /"))
    }
}

fn tls(settings: &ContainerSettings<'_>) -> Result<Option<Tls>, SettingError> {
    let setting = |name| {
        let setting = settings.get(name)?;
        let absolute = setting.text().starts_with('/');
        Some(if absolute { Ok(setting) } else { Err(setting.refused("an absolute path in the container")) })
    };
    match (setting("http.tls-certificate").transpose()?, setting("http.tls-key").transpose()?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(Tls { certificate: certificate.text().into(), key: key.text().into() }))
        }
        (Some(alone), None) => Err(alone.refused("accompanied by lighter.wasm/http.tls-key")),
        (None, Some(alone)) => Err(alone.refused("accompanied by lighter.wasm/http.tls-certificate")),
    }
}

/// The lower one of the limits of CPU time and threads.
fn cores(resources: &LinuxResources) -> Option<NonZeroUsize> {
    quota(resources).into_iter().chain(threads(resources)).min()
}

/// How many threads can work within the limit of processes and threads. A server also has a clock thread and one that
/// waits for events; with a single worker, that one does their work.
fn threads(resources: &LinuxResources) -> Option<NonZeroUsize> {
    const BESIDES: i64 = 2;
    let limit = resources.pids().as_ref()?.limit();
    let left = usize::try_from(limit.saturating_sub(BESIDES)).unwrap_or(0);
    (limit > 0).then(|| NonZeroUsize::new(left).unwrap_or(NonZeroUsize::MIN))
}

/// The quota in whole cores, rounded up: a container with half a core still needs one thread.
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
        // Docker and containerd write these for no limit.
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
        assert_eq!((read.reuse, read.max_body, read.timeout.as_secs()), (10, 1 << 20, 2));
        assert_eq!((read.health.as_deref(), read.cores), (Some("/up"), NonZeroUsize::new(2)));
        assert_eq!(read.tls.unwrap().key, Path::new("/t/tls.key"));
        let default = http("", "", r#""quota":-1"#).unwrap();
        assert_eq!((default.connections, default.connections_per_peer), (4096, None));
        let few = http("", r#""LIGHTER_HTTP_CONNECTIONS_PER_PEER=16""#, "").unwrap();
        assert_eq!(few.connections_per_peer, Some(16));
        assert_eq!((default.reuse, default.cores, default.tls, default.stack), (1, None, None, 512 << 10));
        let check = |env: &str, words: &str| {
            let error = http("", env, "").unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        check(r#""LIGHTER_HTTP_REUSE=0""#, "LIGHTER_HTTP_REUSE says \"0\"; it must be a whole number from 1");
        check(r#""LIGHTER_HTTP_MAX_HEADER=9Gi""#, "from 8Ki to 1Mi");
        check(r#""LIGHTER_HTTP_STACK=1Ki""#, "from 64Ki to 8Mi");
        check(r#""LIGHTER_HTTP_HEALTH=up""#, "begins with /");
        check(r#""PORT=http""#, "the variable PORT says \"http\"; it must be an address");
        check(r#""LIGHTER_HTTP_TLS_KEY=/k""#, "accompanied by lighter.wasm/http.tls-certificate");
    }
}
