//! Versions and identifiers: `semver`, `uuid`.

use std::cmp::Ordering;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::Builtin::{self, OfQuery, Pure};
use super::encoding::{bytes_of_hex, hex};
use super::{random, text};
use crate::opa::host::Query;

pub const ALL: &[(&str, Builtin)] = &[
    ("semver.compare", Pure(|given| Ok((version(given, 0)?.compare(&version(given, 1)?) as i8).into()))),
    ("semver.is_valid", Pure(|given| Ok(version(given, 0).is_ok().into()))),
    ("uuid.parse", Pure(|given| parsed(text(given, 0)?))),
    ("uuid.rfc4122", OfQuery(uuid)),
];

/// A version as OPA parses it, which is less strict than the standard: leading zeros are allowed.
struct Version<'a> {
    numbers: [i64; 3],
    before: &'a str,
}

fn version(given: &[Value], nth: usize) -> anyhow::Result<Version<'_>> {
    let text = text(given, nth)?;
    let (text, build) = text.split_once('+').map_or((text, ""), |(text, build)| (text, build));
    let (numbers, before) = text.split_once('-').map_or((text, ""), |(text, before)| (text, before));
    for names in [before, build] {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        ensure!(names.is_empty() || names.split('.').all(is_name), "not a name of a version");
    }
    let numbers = numbers.split('.').map(str::parse).collect::<Result<Vec<i64>, _>>()?;
    Ok(Version { numbers: numbers.try_into().ok().context("a version has three numbers")?, before })
}

impl Version<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.before, other.before) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (one, other) => one.split('.').map(Name::of).cmp(other.split('.').map(Name::of)),
        })
    }
}

/// An identifier of a pre-release: numbers precede words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Name<'a> {
    Number(i64, &'a str),
    Word(&'a str),
}

impl<'a> Name<'a> {
    fn of(text: &'a str) -> Self {
        text.parse().map_or(Self::Word(text), |number| Self::Number(number, text))
    }
}

fn uuid(query: &mut Query, given: &[Value]) -> anyhow::Result<Value> {
    super::once(query, &format!("uuid.rfc4122 {}", text(given, 0)?), || {
        let mut bytes: [u8; 16] = random()?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let parts = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(hex);
        Ok(parts.join("-").into())
    })
}

/// Describes a UUID. As in OPA, it may be bare, in brackets of any kind, or have the prefix `urn:uuid:`.
fn parsed(text: &str) -> anyhow::Result<Value> {
    let bytes = text.as_bytes();
    let digits = match bytes.len() {
        32 => text.to_owned(),
        36 | 38 | 45 => {
            let inner = match bytes {
                [_, inner @ .., _] if bytes.len() == 38 => inner,
                prefix if bytes.len() == 45 => {
                    ensure!(prefix[..9].eq_ignore_ascii_case(b"urn:uuid:"), "not a UUID");
                    &prefix[9..]
                }
                _ => bytes,
            };
            ensure!([8, 13, 18, 23].iter().all(|at| inner.get(*at) == Some(&b'-')), "not a UUID");
            std::str::from_utf8(inner)?.replace('-', "")
        }
        _ => bail!("not a UUID"),
    };
    let bytes: [u8; 16] = bytes_of_hex(&digits)?.try_into().ok().context("not a UUID")?;
    let variant = match bytes[8] {
        0x80..0xc0 => "RFC4122",
        0xc0..0xe0 => "Microsoft",
        0xe0.. => "Future",
        _ => "Reserved",
    };
    let version = bytes[6] >> 4;
    let mut object = json!({ "version": version, "variant": variant });
    if matches!(version, 1 | 2) {
        describe(&mut object, &bytes);
    }
    Ok(object)
}

/// Adds the fields of a UUID made from a time and a node address.
fn describe(object: &mut Value, bytes: &[u8; 16]) {
    /// From 1582 to 1970, in units of 100 ns.
    const EPOCH: i64 = 122_192_928_000_000_000;
    let number = |range: std::ops::Range<usize>| {
        bytes[range].iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte))
    };
    let since = (number(0..4) | number(4..6) << 32 | (number(6..8) & 0xfff) << 48) - EPOCH;
    object["time"] = since.wrapping_mul(100).into();
    object["nodeid"] = bytes[10..].iter().map(|byte| hex(&[*byte])).collect::<Vec<_>>().join("-").into();
    object["macvariables"] = match bytes[10] & 3 {
        3 => "local:multicast",
        1 => "global:multicast",
        2 => "local:unicast",
        _ => "global:unicast",
    }
    .into();
    object["clocksequence"] = (number(8..10) & 0x3fff).into();
    if bytes[6] >> 4 == 2 {
        object["id"] = number(0..4).into();
        object["domain"] = match bytes[9] {
            0 => "Person".into(),
            1 => "Group".into(),
            2 => "Org".into(),
            other => format!("Domain{other}").into(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order() {
        let check = |one: &str, other: &str, expected: Option<Ordering>| {
            let (one, other) = ([json!(one)], [json!(other)]);
            let compared = version(&one, 0).and_then(|one| Ok(one.compare(&version(&other, 0)?))).ok();
            assert_eq!(compared, expected, "{one:?} {other:?}");
        };
        check("1.2.3", "1.10.0", Some(Ordering::Less));
        check("1.0.0", "1.0.0-rc.1", Some(Ordering::Greater));
        check("1.0.0-1", "1.0.0-a", Some(Ordering::Less));
        check("1.0.0-a.1", "1.0.0-a", Some(Ordering::Greater));
        check("1.0.0+1", "1.0.0+2", Some(Ordering::Equal));
        check("01.0.0", "1.0.0", Some(Ordering::Equal));
        for wrong in ["1.2", "v1.2.3", "1.2.3.4", "1.2.3-a..b", "1.2.3-ä", "+1.2.3", ""] {
            check(wrong, "1.0.0", None);
        }
    }

    #[test]
    fn uuids_are_read() {
        let text = "c232ab00-9414-11ec-b3c8-9f6bdeced846";
        let time = json!(1_645_557_742_000_000_000_i64);
        for text in [text, &format!("{{{text}}}"), &format!("URN:uuid:{text}"), &text.replace('-', "")] {
            assert_eq!(parsed(text).unwrap()["time"], time, "{text}");
        }
        assert!(parsed(&text.replace('a', "g")).is_err() && parsed("").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(a in super::super::tests::any(), b in super::super::tests::any(), one in "[-+.0-9a]{0,20}", other in "([-0-9a-f]|.){30,46}", bytes: [u8; 16]) {
            let _ = (parsed(&hex(&bytes)), parsed(&other), version(&[json!(one)], 0).is_ok());
            let _ = (uuid(&mut Query::default(), std::slice::from_ref(&a)), version(&[b], 0).is_ok());
        }
    }
}
