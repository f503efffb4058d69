//! The command line, as Dapr's injector writes it: Go's flags, `--name value`, `--name=value`, one or two
//! dashes; a switch has its value after `=` or none.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The flags with an effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// `--app-id`.
    pub app_id: String,
    /// `--app-port`; without it there is no app to wait for.
    pub app_port: Option<u16>,
    /// `--app-channel-address`: where the app listens.
    pub app_address: IpAddr,
    /// `--dapr-http-port`: the port of the whole API.
    pub http_port: u16,
    /// `--dapr-listen-addresses`: the addresses of the whole API.
    pub addresses: Vec<IpAddr>,
    /// `--dapr-public-port`: the port of health and metadata, on all addresses.
    pub public_port: Option<u16>,
    /// `--dapr-graceful-shutdown-seconds`.
    pub grace: Duration,
    /// The names of daprd's other flags that were given, all without effect here.
    pub ignored: Vec<String>,
}

/// Flags of daprd without a value, or with one after `=`.
const SWITCHES: [&str; 10] = [
    "app-ssl",
    "build-info",
    "disable-builtin-k8s-secret-store",
    "enable-api-logging",
    "enable-app-health-check",
    "enable-metrics",
    "enable-mtls",
    "enable-profiling",
    "log-as-json",
    "wait",
];
/// Flags of daprd that have a value and no effect here.
const OTHERS: [&str; 30] = [
    "actors-service",
    "allowed-origins",
    "app-health-check-path",
    "app-health-port",
    "app-health-probe-interval",
    "app-health-probe-timeout",
    "app-health-threshold",
    "app-max-concurrency",
    "components-path",
    "config",
    "control-plane-address",
    "control-plane-namespace",
    "control-plane-trust-domain",
    "dapr-block-shutdown-duration",
    "dapr-grpc-port",
    "dapr-http-max-request-size",
    "dapr-http-read-buffer-size",
    "dapr-internal-grpc-listen-address",
    "dapr-internal-grpc-port",
    "dapr-public-listen-address",
    "log-level",
    "max-body-size",
    "metrics-port",
    "mode",
    "placement-host-address",
    "profile-port",
    "read-buffer-size",
    "resources-path",
    "scheduler-host-address",
    "sentry-address",
];

impl Flags {
    /// Parses the arguments.
    ///
    /// # Errors
    /// A flag that daprd does not have, one without its value, or an app that does not speak HTTP.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut flags = Self {
            app_id: String::new(),
            app_port: None,
            app_address: [127, 0, 0, 1].into(),
            http_port: 3500,
            addresses: vec![[0, 0, 0, 0].into()],
            public_port: None,
            grace: Duration::from_secs(5),
            ignored: vec![],
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let bare = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            let bare = bare.with_context(|| format!("{word:?} is no flag"))?;
            let (name, value) = match bare.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (bare, None),
            };
            if SWITCHES.contains(&name) {
                flags.ignored.push(name.into());
                continue;
            }
            let value = value.or_else(|| words.next()).with_context(|| format!("--{name} needs a value"))?;
            flags.set(name, value).with_context(|| format!("--{name}"))?;
        }
        Ok(flags)
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "app-id" => self.app_id = value,
            "app-port" => self.app_port = Some(value.parse()?),
            "app-channel-address" => self.app_address = value.parse()?,
            "dapr-http-port" => self.http_port = value.parse()?,
            "dapr-public-port" => self.public_port = Some(value.parse()?),
            "dapr-listen-addresses" => self.addresses = addresses(&value)?,
            "dapr-graceful-shutdown-seconds" => self.grace = Duration::from_secs(value.parse()?),
            "app-protocol" if value != "http" => bail!("only http is spoken here, not {value}"),
            "app-protocol" => {}
            "unix-domain-socket" => bail!("the stand-in listens on TCP alone"),
            _ if OTHERS.contains(&name) => self.ignored.push(name.into()),
            _ => bail!("daprd has no such flag"),
        }
        Ok(())
    }
}

/// Parses `[::1],127.0.0.1`.
fn addresses(list: &str) -> Result<Vec<IpAddr>> {
    let address = |word: &str| word.trim_matches(['[', ']']).parse().with_context(|| word.to_owned());
    list.split(',').map(str::trim).map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags> {
        Flags::parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn reads_what_the_injector_writes() {
        let flags = parse(
            "--dapr-http-port 3500 --dapr-grpc-port 50001 --dapr-internal-grpc-port 50002 \
             --dapr-listen-addresses [::1],127.0.0.1 --dapr-public-port 3501 --app-id orders --app-protocol http \
             --log-level info --dapr-graceful-shutdown-seconds 7 --mode kubernetes \
             --control-plane-address a:443 --sentry-address b:443 --app-port 9005 \
             --enable-metrics --metrics-port 9090 --enable-api-logging=false --disable-builtin-k8s-secret-store",
        );
        let flags = flags.unwrap();
        assert_eq!(
            (flags.app_id.as_str(), flags.app_port, flags.public_port),
            ("orders", Some(9005), Some(3501))
        );
        assert_eq!(flags.addresses.len(), 2);
        assert_eq!(flags.grace.as_secs(), 7);
        assert!(flags.ignored.contains(&"enable-api-logging".into()));
    }

    #[test]
    fn refuses_what_daprd_does_not_know() {
        for (line, words) in [
            ("--app-prot http", "--app-prot: daprd has no such flag"),
            ("--app-port", "--app-port needs a value"),
            ("--app-protocol grpc", "--app-protocol: only http"),
            ("run", "\"run\" is no flag"),
        ] {
            let error = format!("{:#}", parse(line).unwrap_err());
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
