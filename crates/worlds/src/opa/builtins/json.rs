//! JSON: `json.patch`, and `json.marshal_with_options`, which writes it as Go does.

use std::fmt::Write as _;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::Builtin::{self, Pure};
use super::objects::compare;

pub const ALL: &[(&str, Builtin)] =
    &[("json.marshal_with_options", Pure(marshal)), ("json.patch", Pure(patch))];

/// The longest text, in bytes, and the maximum number of values that patches may copy.
const MAX_SIZE: usize = 1 << 24;
/// The maximum depth of a document: below that of the policy's own JSON.
const MAX_DEPTH: usize = 120;

fn marshal(given: &[Value]) -> anyhow::Result<Value> {
    let [value, Value::Object(options)] = given else { bail!("the options are not an object") };
    let (mut prefix, mut indent, mut pretty) = ("", "\t", None);
    let mut implied = false;
    for (name, option) in options {
        match (name.as_str(), option) {
            ("prefix", Value::String(text)) => (prefix, implied) = (text, true),
            ("indent", Value::String(text)) => (indent, implied) = (text, true),
            ("pretty", Value::Bool(is)) => pretty = Some(*is),
            _ => bail!("no option {name}, or not with this value"),
        }
    }
    let mut out = String::new();
    let pretty = pretty.unwrap_or(implied);
    if pretty {
        out.push_str(prefix);
    }
    write_json(&mut out, value, pretty.then_some((prefix, indent)), 0)?;
    Ok(out.into())
}

/// Compact JSON, as of Go's `json.Marshal`.
///
/// # Errors
/// When it is too long.
pub fn compact(value: &Value) -> anyhow::Result<String> {
    let mut out = String::new();
    write_json(&mut out, value, None, 0)?;
    Ok(out)
}

fn write_json(
    out: &mut String,
    value: &Value,
    lines: Option<(&str, &str)>,
    depth: usize,
) -> anyhow::Result<()> {
    let line = |out: &mut String, depth: usize| {
        let Some((prefix, indent)) = lines else { return Ok(()) };
        let longer = indent.len().saturating_mul(depth).saturating_add(prefix.len() + 1);
        ensure!(out.len().saturating_add(longer) <= MAX_SIZE, "the text is too long");
        out.push('\n');
        out.push_str(prefix);
        out.push_str(&indent.repeat(depth));
        Ok(())
    };
    match value {
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                line(out, depth + 1)?;
                write_json(out, item, lines, depth + 1)?;
            }
            if !items.is_empty() {
                line(out, depth)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (nth, (name, value)) in fields.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                line(out, depth + 1)?;
                write_text(out, name);
                out.push_str(if lines.is_some() { ": " } else { ":" });
                write_json(out, value, lines, depth + 1)?;
            }
            if !fields.is_empty() {
                line(out, depth)?;
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    Ok(())
}

/// Go escapes what is special in HTML or JavaScript.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        // Writing to a String does not fail.
        let _ = match letter {
            '"' => write!(out, "\\\""),
            '\\' => write!(out, "\\\\"),
            '\u{8}' => write!(out, "\\b"),
            '\u{c}' => write!(out, "\\f"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(letter))
            }
            letter => write!(out, "{letter}"),
        };
    }
    out.push('"');
}

/// The remaining budget of the patches.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, cost: usize) -> anyhow::Result<()> {
        self.0 = self.0.checked_sub(cost).context("the patches are too many, or too large")?;
        Ok(())
    }
}

/// Applies all patches, or none.
fn patch(given: &[Value]) -> anyhow::Result<Value> {
    let [document, Value::Array(patches)] = given else { bail!("the patches are not an array") };
    let mut budget = Budget(MAX_SIZE);
    let mut document = Some(document.clone());
    for patch in patches {
        apply(&mut document, patch, &mut budget)?;
    }
    document.context("nothing is left of the document")
}

fn apply(document: &mut Option<Value>, patch: &Value, budget: &mut Budget) -> anyhow::Result<()> {
    let field = |name: &str| patch.get(name).with_context(|| format!("{name} is missing"));
    let steps = path(field("path")?)?;
    budget.spend(steps.len() + 1)?;
    match field("op")?.as_str() {
        Some("add") => insert(document, &steps, field("value")?.clone(), budget),
        Some("remove") => remove(document, &steps, budget).map(drop),
        Some("replace") => {
            let value = field("value")?.clone();
            remove(document, &steps, budget)?;
            insert(document, &steps, value, budget)
        }
        Some("move") => {
            let from = path(field("from")?)?;
            let value = remove(document, &from, budget)?;
            insert(document, &steps, value, budget)
        }
        Some("copy") => {
            let value = at(document, &path(field("from")?)?)?;
            budget.spend(size(value))?;
            let value = value.clone();
            insert(document, &steps, value, budget)
        }
        Some("test") => {
            let (value, expected) = (at(document, &steps)?, field("value")?);
            budget.spend(size(expected))?;
            ensure!(compare(value, expected).is_eq(), "a test fails");
            Ok(())
        }
        _ => bail!("no such operation"),
    }
}

/// The steps of a path: a JSON pointer, or an array of keys and indices.
fn path(value: &Value) -> anyhow::Result<Vec<Value>> {
    match value {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => {
            let steps = text.trim_start_matches('/').split('/');
            Ok(steps.map(|step| step.replace("~1", "/").replace("~0", "~").into()).collect())
        }
        Value::Array(steps) => Ok(steps.clone()),
        _ => bail!("a path is neither a string nor an array"),
    }
}

/// The name of a field for a step: the names of a JSON object are strings, unlike Rego's keys.
fn name(step: &Value) -> String {
    step.as_str().map_or_else(|| step.to_string(), str::to_owned)
}

/// The index for a step into an array of `length`; `-` is the one after the last.
fn index(step: &Value, length: usize) -> anyhow::Result<usize> {
    match step {
        Value::String(text) if text == "-" => Ok(length),
        Value::String(text) => {
            ensure!(text == "0" || !text.starts_with('0'), "an index with a leading zero");
            Ok(usize::try_from(text.parse::<i64>()?)?)
        }
        step => Ok(usize::try_from(step.as_i64().context("not an index")?)?),
    }
}

fn at<'a>(document: &'a Option<Value>, steps: &[Value]) -> anyhow::Result<&'a Value> {
    let root = document.as_ref().context("the document is gone")?;
    let found = steps.iter().try_fold(root, |value, step| match value {
        Value::Object(fields) => fields.get(&name(step)),
        Value::Array(items) => items.get(index(step, items.len()).ok()?),
        _ => None,
    });
    found.context("there is nothing at the path")
}

fn at_mut<'a>(document: &'a mut Option<Value>, steps: &[Value]) -> anyhow::Result<&'a mut Value> {
    let root = document.as_mut().context("the document is gone")?;
    let found = steps.iter().try_fold(root, |value, step| match value {
        Value::Object(fields) => fields.get_mut(&name(step)),
        Value::Array(items) => {
            let nth = index(step, items.len()).ok()?;
            items.get_mut(nth)
        }
        _ => None,
    });
    found.context("there is nothing at the path")
}

fn insert(
    document: &mut Option<Value>,
    steps: &[Value],
    value: Value,
    budget: &mut Budget,
) -> anyhow::Result<()> {
    ensure!(steps.len() + depth(&value) <= MAX_DEPTH, "the document would be too deep");
    let Some((last, parents)) = steps.split_last() else {
        *document = Some(value);
        return Ok(());
    };
    match at_mut(document, parents)? {
        Value::Object(fields) => drop(fields.insert(name(last), value)),
        Value::Array(items) => {
            let nth = index(last, items.len())?;
            ensure!(nth <= items.len(), "no such index");
            budget.spend(moved(items, nth))?;
            items.insert(nth, value);
        }
        _ => bail!("it has no parts"),
    }
    Ok(())
}

fn remove(document: &mut Option<Value>, steps: &[Value], budget: &mut Budget) -> anyhow::Result<Value> {
    let Some((last, parents)) = steps.split_last() else {
        return document.take().context("the document is gone");
    };
    match at_mut(document, parents)? {
        Value::Object(fields) => fields.remove(&name(last)).context("no such field"),
        Value::Array(items) => {
            let nth = index(last, items.len())?;
            ensure!(nth < items.len(), "no such index");
            budget.spend(moved(items, nth))?;
            Ok(items.remove(nth))
        }
        _ => bail!("it has no parts"),
    }
}

/// The cost of moving the items from `nth` on, which is little for each.
fn moved(items: &[Value], nth: usize) -> usize {
    items.len().saturating_sub(nth) / 64
}

/// The number of values and bytes of text in a value.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + size(value)).sum(),
        _ => 0,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_apply_as_in_opa() {
        let check = |document: Value, patches: Value, expected: Option<Value>| {
            assert_eq!(patch(&[document, patches.clone()]).ok(), expected, "{patches}");
        };
        let move_in = json!([{ "op": "move", "from": "/a", "path": "/b/-" }]);
        check(json!({ "a": 1, "b": [2] }), move_in, Some(json!({ "b": [2, 1] })));
        check(json!([1, 2]), json!([{ "op": "replace", "path": "/0", "value": 3 }]), Some(json!([3, 2])));
        check(json!([1]), json!([{ "op": "add", "path": ["0"], "value": 0 }]), Some(json!([0, 1])));
        check(json!([1]), json!([{ "op": "add", "path": "/01", "value": 0 }]), None);
        check(json!({}), json!([{ "op": "remove", "path": "/a" }]), None);
        check(json!({}), json!([{ "op": "remove", "path": "" }]), None);
        check(
            json!({ "a/b": 1 }),
            json!([{ "op": "test", "path": "/a~1b", "value": 1 }]),
            Some(json!({ "a/b": 1 })),
        );
    }

    #[test]
    fn copies_do_not_double_without_end() {
        let flat = vec![json!({ "op": "copy", "from": "/a", "path": "/a/-" }); 64];
        assert!(patch(&[json!({ "a": [1, 2, 3] }), flat.into()]).is_err());
        let wide: Vec<_> =
            (0..64).map(|nth| json!({ "op": "copy", "from": "", "path": format!("/{nth}") })).collect();
        assert!(patch(&[json!({}), wide.into()]).is_err());
    }

    #[test]
    fn json_is_written_as_go_does() {
        let check = |value: Value, options: Value, expected: Option<&str>| {
            let text = marshal(&[value, options.clone()]).ok();
            assert_eq!(text, expected.map(Value::from), "{options}");
        };
        check(json!({ "a": [1, {}, []] }), json!({}), Some("{\"a\":[1,{},[]]}"));
        check(json!({ "a": 1 }), json!({ "pretty": true }), Some("{\n\t\"a\": 1\n}"));
        check(json!(["<\u{2028}"]), json!({ "prefix": "<" }), Some("<[\n<\t\"\\u003c\\u2028\"\n<]"));
        check(json!([1]), json!({ "indent": " ", "pretty": false }), Some("[1]"));
        check(json!([1]), json!({ "what": 1 }), None);
        check(json!(vec![1; 1 << 10]), json!({ "indent": " ".repeat(1 << 15) }), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(a in super::super::tests::any(), b in super::super::tests::any(), op in 0..7_usize, from: String, to: String) {
            let op = ["add", "remove", "replace", "move", "copy", "test", "?"][op];
            let patches = json!([{ "op": op, "from": from, "path": to, "value": b }, { "op": op, "from": b, "path": b, "value": a }]);
            let _ = patch(&[a.clone(), patches]);
            let _ = patch(&[a.clone(), b.clone()]);
            let _ = (marshal(&[a.clone(), b.clone()]), marshal(&[a, json!({ "indent": to })]), marshal(&[b]));
        }
    }
}
