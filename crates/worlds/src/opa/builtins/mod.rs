//! The built-in functions that OPA's compiler leaves to the host. Values are JSON; sets are arrays, except where the
//! difference matters: see [`Builtin::WithSets`].
//!
//! As in OPA, a function that fails has no result, and within one query a call with the same arguments has the same
//! result.

mod encoding;
mod format;
mod http;
mod json;
mod keys;
mod layouts;
mod layouts_read;
mod net;
mod numbers;
mod objects;
mod regexes;
mod strings;
mod time;
mod tokens;
mod verbs;
mod versions;

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use anyhow::{Context, ensure};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::host::{PolicyState, Query};
use super::term::Term;

/// A built-in function.
#[derive(Clone, Copy, Debug)]
pub enum Builtin {
    /// Depends only on its arguments.
    Pure(fn(&[Value]) -> anyhow::Result<Value>),
    /// The same, and returns an array that stands for a set.
    Set(fn(&[Value]) -> anyhow::Result<Value>),
    /// As [`Pure`](Self::Pure), with sets marked in its arguments: see [`members`].
    WithSets(fn(&[Value]) -> anyhow::Result<Value>),
    /// Depends on the state of the query, too.
    OfQuery(fn(&mut Query, &[Value]) -> anyhow::Result<Value>),
    /// `http.send`.
    Send,
    /// `opa.runtime`.
    Runtime,
}

/// All functions, by name.
static ALL: &[&[(&str, Builtin)]] = &[
    encoding::ALL,
    format::ALL,
    json::ALL,
    net::ALL,
    numbers::ALL,
    objects::ALL,
    regexes::ALL,
    strings::ALL,
    time::ALL,
    tokens::ALL,
    versions::ALL,
    &[
        ("http.send", Builtin::Send),
        ("internal.print", Builtin::WithSets(print)),
        ("opa.runtime", Builtin::Runtime),
    ],
];

/// The functions that a policy calls, by its own numbers.
///
/// # Errors
/// The names of those that are not implemented.
pub fn named(names: BTreeMap<String, u32>) -> Result<HashMap<u32, Builtin>, String> {
    let mut found = HashMap::new();
    let mut missing = Vec::new();
    for (name, number) in names {
        match ALL.iter().copied().flatten().find(|(known, _)| *known == name) {
            Some((_, builtin)) => drop(found.insert(number, *builtin)),
            None => missing.push(name),
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(missing.join(", ")) }
}

/// Calls a function.
///
/// # Errors
/// Why it has no result.
pub async fn call(builtin: Builtin, host: &mut PolicyState, arguments: &[Value]) -> anyhow::Result<Value> {
    match builtin {
        Builtin::Pure(function) | Builtin::Set(function) | Builtin::WithSets(function) => function(arguments),
        Builtin::OfQuery(function) => function(&mut host.query, arguments),
        Builtin::Send => http::send(host, arguments).await,
        Builtin::Runtime => Ok(serde_json::json!({
            "env": host.outside.env.iter().cloned().collect::<BTreeMap<_, _>>(),
        })),
    }
}

/// The name of the only field of an object that stands for a set.
const SET: &str = "\0set";

/// Converts an argument: sets become arrays or, with `with_sets`, are marked as sets.
pub fn argument(term: &Term, with_sets: bool) -> Value {
    let all = |terms: &[Term]| terms.iter().map(|term| argument(term, with_sets)).collect::<Vec<_>>();
    match term {
        Term::Array(items) => Value::Array(all(items)),
        Term::Set(_) if with_sets => {
            Value::Object([(SET.to_owned(), all(&term.sorted()).into())].into_iter().collect())
        }
        Term::Set(_) => Value::Array(all(&term.sorted())),
        Term::Object(fields) => {
            fields.iter().map(|(key, value)| (key.name(), argument(value, with_sets))).collect()
        }
        other => serde_json::from_str(&other.json()).unwrap_or_default(),
    }
}

/// The members of a marked set; `None` for any other value.
fn members(value: &Value) -> Option<&[Value]> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.get(SET)?.as_array().map(Vec::as_slice)
}

/// `print`, as compiled: each operand is the set of its possible values, empty if it is undefined. Writes a line to
/// standard error for each combination.
fn print(arguments: &[Value]) -> anyhow::Result<Value> {
    const MAX_LINES: usize = 1024;
    let operands = arguments.first().and_then(Value::as_array).context("not an array")?;
    let mut lines = vec![String::new()];
    for operand in operands {
        let shown: Vec<String> = match members(operand) {
            None | Some([]) => vec!["<undefined>".into()],
            Some(choices) => choices.iter().map(verbs::plain).collect(),
        };
        let join = |line: &String, word: &String| {
            if line.is_empty() { word.clone() } else { format!("{line} {word}") }
        };
        let joined = lines.iter().flat_map(|line| shown.iter().map(move |word| join(line, word)));
        lines = joined.take(MAX_LINES).collect();
    }
    for line in lines {
        // A failure has nowhere left to be reported.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    Ok(Value::Bool(true))
}

/// An argument that must be a string.
fn text(arguments: &[Value], nth: usize) -> anyhow::Result<&str> {
    arguments.get(nth).and_then(Value::as_str).with_context(|| format!("argument {nth} is not a string"))
}

/// An argument that must be written as an integer: OPA accepts no others where this is used.
fn integer(arguments: &[Value], nth: usize) -> anyhow::Result<i64> {
    let number = arguments.get(nth).and_then(Value::as_i64);
    number.with_context(|| format!("argument {nth} is not a whole number"))
}

/// An argument that must be a whole number, also if it is written with a fraction.
fn whole(arguments: &[Value], nth: usize) -> anyhow::Result<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let number = arguments.get(nth).and_then(|value| match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().filter(|number| number.fract() == 0.0);
            number.filter(|number| (-LIMIT..LIMIT).contains(number)).map(|number| number as i64)
        }
        value => value.as_i64(),
    });
    number.with_context(|| format!("argument {nth} is not a whole number"))
}

/// The result of `make`, called once per query for each `name`.
///
/// # Errors
/// When there are too many names, which take the host's memory; those of `make`.
fn once(
    query: &mut Query,
    name: &str,
    make: impl FnOnce() -> anyhow::Result<Value>,
) -> anyhow::Result<Value> {
    const MAX: usize = 1 << 16;
    let key = encoding::hex(digest(&SHA256, name.as_bytes()).as_ref());
    if let Some(known) = query.cached.get(&key) {
        return Ok(known.clone());
    }
    ensure!(query.cached.len() < MAX, "too many to remember");
    let made = make()?;
    query.cached.insert(key, made.clone());
    Ok(made)
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    ensure!(filled == N, "the kernel gave {filled} random bytes");
    Ok(bytes)
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any JSON value of small depth.
    pub fn any() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            prop::bool::ANY.prop_map(Value::from),
            prop::num::i64::ANY.prop_map(Value::from),
            prop::num::u64::ANY.prop_map(Value::from),
            (-5_i64..5).prop_map(Value::from),
            prop::num::f64::ANY.prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let name = prop_oneof![
                ".{0,4}",
                "alg|kid|crit|cty|typ|pretty|indent|prefix|op|path|from|value|keys|aud|exp"
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn each_function_has_one_name() {
        let mut names: Vec<_> = ALL.iter().copied().flatten().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
