//! The documents below `data`: those of `data.json`, beside the policy as in a bundle, and the policy's entrypoints.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use workload::{Entrypoint, Guest};

use super::term::Term;

/// The policy's data.
pub struct Documents {
    /// A JSON object.
    pub json: Vec<u8>,
    base: Term,
}

impl Documents {
    /// Reads `data.json` beside the policy of `guest`; empty if there is no such file.
    ///
    /// # Errors
    /// Names the file that cannot be read, or is not a JSON object.
    pub fn beside(guest: &Guest) -> anyhow::Result<Self> {
        let path = directory(guest).join("data.json");
        match fs::read_to_string(&path) {
            Ok(json) => {
                let base = Term::read(&json)
                    .filter(|_| serde_json::from_str::<&serde_json::value::RawValue>(&json).is_ok());
                let base = base.filter(|base| matches!(base, Term::Object(_)));
                let base = base.with_context(|| format!("{} is not a JSON object", path.display()))?;
                Ok(Self { json: json.into(), base })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self { json: b"{}".to_vec(), base: Term::empty() })
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The document at `path`, if there is one.
    pub fn at(&self, path: &[&str]) -> Option<&Term> {
        path.iter().try_fold(&self.base, |term, name| term.step(name))
    }
}

/// The directory of the policy.
fn directory(guest: &Guest) -> PathBuf {
    let written = guest.args.first().map_or("", String::as_str);
    let path = Entrypoint::parse(written).map_or_else(|_| written.to_owned(), |entrypoint| entrypoint.path);
    let path = Path::new(&guest.cwd).join(path);
    path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// The entrypoints that a query selects.
#[derive(Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// One, and a path into its result.
    Within(u32, &'a [&'a str]),
    /// All below the query's path, each with the rest of its path; there may be none.
    Below(Vec<(Vec<&'a str>, u32)>),
}

/// Finds the entrypoints of the query `path`.
pub fn select<'a>(entrypoints: &'a BTreeMap<String, u32>, path: &'a [&'a str]) -> Selection<'a> {
    let exact = |length: usize| Some((*entrypoints.get(&path[..length].join("/"))?, &path[length..]));
    if let Some((number, rest)) = (1..=path.len()).rev().find_map(exact) {
        return Selection::Within(number, rest);
    }
    let below = entrypoints.iter().filter_map(|(entrypoint, number)| {
        let parts: Vec<_> = entrypoint.split('/').collect();
        parts.starts_with(path).then(|| (parts[path.len()..].to_vec(), *number))
    });
    Selection::Below(below.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_entrypoints() {
        let entrypoints =
            BTreeMap::from([("a/b".to_owned(), 1), ("a/c/d".to_owned(), 2), ("e".to_owned(), 3)]);
        let check = |path: &[&str], expected: Selection<'_>| {
            assert_eq!(select(&entrypoints, path), expected, "{path:?}")
        };
        check(&["a", "b"], Selection::Within(1, &[]));
        check(&["a", "b", "x", "0"], Selection::Within(1, &["x", "0"]));
        check(&["a"], Selection::Below(vec![(vec!["b"], 1), (vec!["c", "d"], 2)]));
        check(&["a", "c"], Selection::Below(vec![(vec!["d"], 2)]));
        check(&["x"], Selection::Below(vec![]));
        assert!(matches!(select(&entrypoints, &[]), Selection::Below(all) if all.len() == 3));
    }
}
