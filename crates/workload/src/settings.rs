//! The settings of a container: annotations, and for each an equivalent environment variable, since CRI passes on
//! only the annotations that its configuration lists.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use thiserror::Error;

use crate::Workload;

/// A setting with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{said_by} says {value:?}; it must be {wanted}")]
pub struct SettingError {
    /// The annotation or the variable.
    pub said_by: String,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub wanted: String,
}

/// The annotations and the environment of one container.
pub(crate) struct ContainerSettings<'a> {
    annotations: Option<&'a HashMap<String, String>>,
    env: &'a [String],
}

/// A setting, and where it was found.
#[derive(Debug)]
pub(crate) struct ContainerSetting<'a> {
    said_by: String,
    value: &'a str,
    /// Set by an annotation, which an image cannot do.
    annotated: bool,
}

impl<'a> ContainerSettings<'a> {
    /// The settings of `workload`.
    pub(crate) fn of(workload: &'a Workload) -> Self {
        Self {
            annotations: workload.spec.annotations().as_ref(),
            env: workload.process().env().as_deref().unwrap_or_default(),
        }
    }

    /// The setting `name`: from the annotation `lighter.wasm/NAME`, or else from the variable `LIGHTER_NAME`, in
    /// upper case and with `_` for everything but letters and digits.
    pub(crate) fn get(&self, name: &str) -> Option<ContainerSetting<'a>> {
        let annotation = format!("lighter.wasm/{name}");
        if let Some(value) = self.annotations.and_then(|all| all.get(&annotation)) {
            return Some(ContainerSetting {
                said_by: format!("the annotation {annotation}"),
                value,
                annotated: true,
            });
        }
        self.variable(&variable_of(name))
    }

    /// The value of the environment variable `name`, unless it is empty.
    pub(crate) fn variable(&self, name: &str) -> Option<ContainerSetting<'a>> {
        // The last one applies, as for a program.
        let value =
            self.env.iter().rev().find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?.1;
        let said_by = format!("the variable {name}");
        (!value.is_empty()).then_some(ContainerSetting { said_by, value, annotated: false })
    }
}

fn variable_of(name: &str) -> String {
    let capital =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    format!("LIGHTER_{}", name.chars().map(capital).collect::<String>())
}

impl<'a> ContainerSetting<'a> {
    /// The annotation or the variable.
    pub(crate) fn said_by(&self) -> &str {
        &self.said_by
    }

    /// Whether it is set by an annotation, which is the pod author's; a variable may be the image's.
    pub(crate) fn is_annotation(&self) -> bool {
        self.annotated
    }

    /// Its value.
    pub(crate) fn text(&self) -> &'a str {
        self.value
    }

    /// The error that it must be `wanted`.
    pub(crate) fn refused(&self, wanted: impl Into<String>) -> SettingError {
        SettingError { said_by: self.said_by.clone(), value: self.value.into(), wanted: wanted.into() }
    }

    /// A number from `min` to `max`.
    pub(crate) fn number(&self, min: u64, max: u64) -> Result<u64, SettingError> {
        let number = self.value.trim().parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| self.refused(format!("a whole number from {min} to {max}")))
    }

    /// A number of bytes, as Kubernetes writes it: `65536`, `64Ki`, `64k`.
    pub(crate) fn bytes(&self) -> Result<u64, SettingError> {
        const UNITS: [(&str, u64); 6] = [
            ("Ki", 1 << 10),
            ("Mi", 1 << 20),
            ("Gi", 1 << 30),
            ("k", 1_000),
            ("M", 1_000_000),
            ("G", 1_000_000_000),
        ];
        let text = self.value.trim();
        let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
        let (digits, factor) = unit.unwrap_or((text, 1));
        let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes.ok_or_else(|| self.refused("a number of bytes such as 65536, 64Ki or 1Mi"))
    }

    /// A duration: `250ms`, `30s`, `2m`; a number alone is seconds.
    pub(crate) fn duration(&self) -> Result<Duration, SettingError> {
        const UNITS: [(&str, u64); 3] = [("ms", 1), ("s", 1_000), ("m", 60_000)];
        const DAY: u64 = 86_400_000;
        let text = self.value.trim();
        let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
        let (digits, factor) = unit.unwrap_or((text, 1_000));
        let millis = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        let millis = millis.filter(|millis| (1..=DAY).contains(millis));
        millis
            .map(Duration::from_millis)
            .ok_or_else(|| self.refused("a time such as 250ms, 30s or 2m, a day at most"))
    }

    /// An address to listen on: `ADDRESS:PORT`, `[IPV6]:PORT`, `:PORT` or `PORT`.
    pub(crate) fn address(&self) -> Result<SocketAddr, SettingError> {
        address(self.value.trim())
            .ok_or_else(|| self.refused("an address to listen on such as 0.0.0.0:8080, [::]:8080 or 8080"))
    }

    /// Addresses to listen on, separated by commas; a word among them may set whether accepting there blocks.
    pub(crate) fn listens(&self) -> Result<(Vec<SocketAddr>, Option<bool>), SettingError> {
        let mut waits = None;
        let mut is_address = |part: &&str| {
            let word =
                [("blocking", true), ("nonblocking", false)].into_iter().find(|(word, _)| word == part);
            waits = word.map(|(_, waits)| waits).or(waits);
            word.is_none()
        };
        let parts: Vec<_> = self.value.split(',').map(str::trim).filter(|part| is_address(part)).collect();
        let addresses: Option<Vec<_>> = parts.into_iter().map(address).collect();
        let addresses = addresses.filter(|addresses| !addresses.is_empty()).ok_or_else(|| {
            self.refused(
                "addresses to listen on such as 0.0.0.0:8080, [::]:8080 or 8080, with commas between, and perhaps the \
                 word blocking or nonblocking",
            )
        })?;
        Ok((addresses, waits))
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address).filter(|address| address.port() > 0);
    }
    match text.rsplit_once(':') {
        None => Some(SocketAddr::new(ANY, port(text)?)),
        Some(("", digits)) => Some(SocketAddr::new(ANY, port(digits)?)),
        Some(("localhost", digits)) => Some(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port(digits)?)),
        Some(("*", digits)) => Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port(digits)?)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(value: &str) -> ContainerSetting<'_> {
        ContainerSetting { said_by: "the variable X".into(), value, annotated: false }
    }

    #[test]
    fn an_annotation_comes_before_its_variable() {
        let annotations = HashMap::from([("lighter.wasm/http.address".to_owned(), "1".to_owned())]);
        let env = ["LIGHTER_HTTP_ADDRESS=2", "LIGHTER_TCP_LISTEN=3", "LIGHTER_TCP_LISTEN=4", "PORT="];
        let env = env.map(str::to_owned);
        let settings = ContainerSettings { annotations: Some(&annotations), env: &env };
        let get = |name| settings.get(name).map(|setting| setting.text());
        assert_eq!((get("http.address"), get("tcp-listen"), get("http.reuse")), (Some("1"), Some("4"), None));
        assert!(settings.variable("PORT").is_none(), "an empty variable says nothing");
    }

    #[test]
    fn words_become_values() {
        let bytes = |text| setting(text).bytes().ok();
        assert_eq!((bytes("7"), bytes("64Ki"), bytes("2M")), (Some(7), Some(65_536), Some(2_000_000)));
        assert_eq!((bytes("x"), bytes("-1"), bytes("99999999999G"), bytes("")), (None, None, None, None));
        let millis = |text| setting(text).duration().ok().map(|duration| duration.as_millis());
        assert_eq!((millis("3"), millis("250ms"), millis("2m")), (Some(3_000), Some(250), Some(120_000)));
        assert_eq!((millis("0"), millis("25h"), millis("1441m")), (None, None, None));
        let address = |text| setting(text).address().ok().map(|address| address.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(address("8080"), some("0.0.0.0:8080"));
        assert_eq!(address(":80"), some("0.0.0.0:80"));
        assert_eq!(address("*:80"), some("[::]:80"));
        assert_eq!(address("[::1]:80"), some("[::1]:80"));
        assert_eq!(
            (address("0.0.0.0"), address("80:80"), address("0"), address("65536")),
            (None, None, None, None)
        );
        assert_eq!(setting("80, [::]:81").listens().unwrap().0.len(), 2);
        let waits = |text: &str| setting(text).listens().unwrap().1;
        assert_eq!(
            [waits("80"), waits("80, nonblocking"), waits("blocking,80,81")],
            [None, Some(false), Some(true)]
        );
        assert!(setting("nonblocking").listens().is_err());
        assert!(setting("80,").listens().is_err());
    }

    proptest::proptest! {
        /// Every value of an image's environment is parsed or refused.
        #[test]
        fn never_panics(text: String) {
            let setting = setting(&text);
            let _ = (setting.number(0, u64::MAX), setting.bytes(), setting.duration(), setting.address(), setting.listens());
        }
    }

    #[test]
    fn an_error_names_its_setting() {
        let error = setting("soon").duration().unwrap_err().to_string();
        assert_eq!(
            error,
            "the variable X says \"soon\"; it must be a time such as 250ms, 30s or 2m, a day at most"
        );
    }
}
