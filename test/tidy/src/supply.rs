//! The lists of `deny.toml`, applied to the outside crates of the lock.
//!
//! `make audit` runs cargo-deny, which checks these and more. This check needs no tool that must be built first, so
//! every run of the tests finds a forbidden crate.

use semver::{Version, VersionReq};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::finding;
use crate::metadata::Outside;

/// The part of `deny.toml` that is applied here.
#[derive(Debug, Deserialize)]
pub struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
    #[serde(default)]
    clarify: Vec<Clarified>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Clarified {
    #[serde(rename = "crate")]
    name: String,
    expression: String,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    /// `NAME` or `NAME:VERSIONS`.
    #[serde(rename = "crate")]
    named: String,
    reason: String,
    /// The crates that may depend on it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

impl Rules {
    /// Reads the text of `deny.toml`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

/// Every outside crate has a licence that `deny.toml` allows.
pub fn licences_are_allowed(rules: &Rules, outside: &[Outside]) -> Vec<String> {
    let refused = |found: &&Outside| !is_licensed(&rules.licenses, found);
    let sentence = |found: &Outside| {
        let terms = found.license.as_deref().unwrap_or("no licence that it names");
        at(&format!("{} {} has {terms}", found.name, found.version))
    };
    outside.iter().filter(refused).map(sentence).collect()
}

fn is_licensed(rules: &Licenses, found: &Outside) -> bool {
    let clarified = rules.clarify.iter().find(|clarified| clarified.name == found.name);
    let terms = clarified.map(|clarified| &clarified.expression).or(found.license.as_ref());
    let excepted = rules.exceptions.iter().filter(|exception| exception.name == found.name);
    let allowed: Vec<Licensee> = rules
        .allow
        .iter()
        .chain(excepted.flat_map(|exception| &exception.allow))
        .filter_map(|name| Licensee::parse(name).ok())
        .collect();
    let expression = terms.and_then(|terms| Expression::parse_mode(terms, ParseMode::LAX).ok());
    expression.is_some_and(|all| all.evaluate(|wanted| allowed.iter().any(|one| one.satisfies(wanted))))
}

/// No crate is in the lock that `deny.toml` bans, except below the wrappers that it lists.
pub fn nothing_banned(rules: &Rules, outside: &[Outside]) -> Vec<String> {
    let mut found = Vec::new();
    for ban in &rules.bans.deny {
        for banned in outside.iter().filter(|outside| ban.means(outside)) {
            let strangers: Vec<_> = banned.needed_by.iter().filter(|by| !ban.wrappers.contains(by)).collect();
            if ban.wrappers.is_empty() || !strangers.is_empty() {
                let who = format!("{} {}, needed by {strangers:?}", banned.name, banned.version);
                found.push(at(&format!("{who}: {}", ban.reason)));
            }
        }
    }
    found
}

impl Ban {
    fn means(&self, found: &Outside) -> bool {
        let (name, versions) = self.named.split_once(':').unwrap_or((&self.named, "*"));
        let version = Version::parse(&found.version);
        let among = |version: &Version| VersionReq::parse(versions).is_ok_and(|all| all.matches(version));
        // A version that does not parse counts as banned, so that the finding gets looked at.
        name == found.name && version.as_ref().map_or(true, among)
    }
}

/// Every outside crate comes from crates.io.
pub fn sources_are_known(outside: &[Outside]) -> Vec<String> {
    let strange = |found: &&Outside| {
        !found.source.starts_with("registry+") || !found.source.ends_with("/crates.io-index")
    };
    let sentence = |found: &Outside| at(&format!("{} comes from {}", found.name, found.source));
    outside.iter().filter(strange).map(sentence).collect()
}

fn at(sentence: &str) -> String {
    finding("Cargo.lock", 1, format!("{sentence}; see deny.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0 WITH LLVM-exception"]
        exceptions = [{ crate = "odd", allow = ["NCSA"] }]
        clarify = [{ crate = "silent", expression = "MIT", license-files = [] }]
        [bans]
        deny = [
          { crate = "old:<0.4", reason = "old" },
          { crate = "loader", wrappers = ["builder"], reason = "loads" },
        ]"#;

    fn check(name: &str, change: impl Fn(&mut Outside), words: &[&str]) {
        let mut outside = Outside {
            name: name.into(),
            version: "0.3.9".into(),
            license: Some("MIT".into()),
            source: "registry+x/crates.io-index".into(),
            needed_by: vec![],
        };
        change(&mut outside);
        let (rules, outside) = (Rules::read(RULES).unwrap(), [outside]);
        let mut found = licences_are_allowed(&rules, &outside);
        found.extend(nothing_banned(&rules, &outside));
        found.extend(sources_are_known(&outside));
        assert_eq!(found.len(), words.len(), "{found:?}");
        assert!(found.iter().zip(words).all(|(found, word)| found.contains(word)), "{found:?}");
    }

    #[test]
    fn terms_are_asked_for() {
        let terms = |terms: &'static str| move |found: &mut Outside| found.license = Some(terms.into());
        check("a", |_| {}, &[]);
        check("a", terms("Apache-2.0/MIT"), &[]);
        check("a", terms("Apache-2.0"), &["a 0.3.9 has Apache-2.0"]);
        check("a", terms("Apache-2.0 WITH LLVM-exception"), &[]);
        check("a", terms("MIT AND NCSA"), &["NCSA"]);
        check("odd", terms("MIT AND NCSA"), &[]);
        check("a", |found| found.license = None, &["no licence"]);
        check("silent", |found| found.license = None, &[]);
    }

    #[test]
    fn bans_and_sources_are_kept() {
        check("old", |_| {}, &["old 0.3.9"]);
        check("old", |found| found.version = "0.4.0".into(), &[]);
        check("loader", |found| found.needed_by = vec!["builder".into()], &[]);
        check("loader", |found| found.needed_by = vec!["builder".into(), "b".into()], &["needed by [\"b\"]"]);
        check("a", |found| found.source = "git+x".into(), &["comes from git+x"]);
    }
}
