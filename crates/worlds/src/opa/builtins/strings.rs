//! Strings: `strings`, `indexof_n`, `glob.quote_meta`, `trace`.

use anyhow::{bail, ensure};
use serde_json::Value;

use super::Builtin::{self, Pure};
use super::objects::occurrences;
use super::text;

pub const ALL: &[(&str, Builtin)] = &[
    ("glob.quote_meta", Pure(|given| Ok(quoted(text(given, 0)?).into()))),
    ("indexof_n", Pure(indexof_n)),
    ("strings.any_prefix_match", Pure(|given| any_starts(given, |text| text.bytes().collect()))),
    ("strings.any_suffix_match", Pure(|given| any_starts(given, |text| text.bytes().rev().collect()))),
    ("strings.count", Pure(|given| Ok(text(given, 0)?.matches(text(given, 1)?).count().into()))),
    // Notes are discarded.
    ("trace", Pure(|given| text(given, 0).map(|_| true.into()))),
];

fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for letter in text.chars() {
        if "*?\\[]{}".contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

/// The positions of the second string in the first, in characters.
fn indexof_n(given: &[Value]) -> anyhow::Result<Value> {
    let letters = |nth| text(given, nth).map(|text| text.chars().collect::<Vec<_>>());
    let (whole, part) = (letters(0)?, letters(1)?);
    ensure!(!part.is_empty(), "an empty text is everywhere");
    Ok(occurrences(&whole, &part, char::eq).into())
}

/// Whether any of some strings starts with any of others, compared by `bytes`.
fn any_starts(given: &[Value], bytes: fn(&str) -> Vec<u8>) -> anyhow::Result<Value> {
    let all = |nth: usize| match given.get(nth) {
        Some(Value::String(text)) => Ok(vec![bytes(text)]),
        Some(Value::Array(items)) => (0..items.len()).map(|nth| text(items, nth).map(bytes)).collect(),
        _ => bail!("argument {nth} is neither a string nor an array"),
    };
    let (mut texts, starts) = (all(0)?, all(1)?);
    texts.sort();
    let found = starts.iter().any(|start| {
        let first = texts.partition_point(|text| text < start);
        texts.get(first).is_some_and(|text| text.starts_with(start))
    });
    Ok(found.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_found_in_texts() {
        assert_eq!(indexof_n(&[json!("aaéaa"), json!("aa")]).unwrap(), json!([0, 3]));
        assert_eq!(indexof_n(&[json!("aaa"), json!("aa")]).unwrap(), json!([0, 1]));
        let bytes = |text: &str| text.bytes().collect();
        let check = |texts: Value, starts: Value, expected: bool| {
            assert_eq!(
                any_starts(&[texts.clone(), starts.clone()], bytes).unwrap(),
                json!(expected),
                "{texts} {starts}"
            );
        };
        check(json!(["apple", "pear"]), json!(["pe", "x"]), true);
        check(json!("apple"), json!(["apples", "b"]), false);
        check(json!([]), json!([""]), false);
        check(json!(["a"]), json!([]), false);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(one: String, other: String, a in super::super::tests::any(), b in super::super::tests::any()) {
            for (name, builtin) in ALL {
                let Pure(call) = builtin else { panic!("{name}") };
                let _ = (call(&[json!(one), json!(other)]), call(&[a.clone(), b.clone()]), call(&[]));
            }
        }
    }
}
