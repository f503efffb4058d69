//! `regex`: Go's patterns, translated for a library whose syntax differs in parts.

use anyhow::{Context, bail, ensure};
use regex::{Captures, Regex};
use serde_json::Value;

use super::Builtin::{self, Pure};
use super::{integer, text};

pub const ALL: &[(&str, Builtin)] = &[
    ("regex.find_n", Pure(find_n)),
    ("regex.replace", Pure(replace)),
    ("regex.split", Pure(split)),
    ("regex.template_match", Pure(template_match)),
];

/// The maximum size of a compiled pattern, in bytes: each is compiled for one call.
const MAX_PATTERN: usize = 1 << 20;
/// The longest result of a replacement, in bytes.
const MAX_TEXT: usize = 1 << 24;

fn pattern(text: &str) -> anyhow::Result<Regex> {
    Ok(regex::RegexBuilder::new(&translated(text)?)
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(MAX_PATTERN)
        .build()?)
}

/// Translates Go's syntax where the library's differs: classes and word boundaries are ASCII, `\Q…\E` exists, `\<` is a
/// literal, and within `[]` only Go's operators have a meaning.
fn translated(pattern: &str) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut within = false;
    let mut repeats = false;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        let repetition = if within { 0 } else { repetition(rest)? };
        ensure!(!(repeats && repetition > 0), "a repetition is repeated");
        repeats = repetition > 0;
        if repeats {
            out.push_str(&rest[..repetition]);
            rest = &rest[repetition..];
            continue;
        }
        let (length, text) = match letter {
            '\\' => escape(after, within)?,
            '(' if !within && after.starts_with('?') => {
                let end = after[1..].find(|letter: char| !letter.is_ascii_alphabetic() && letter != '-');
                let flags = &after[1..1 + end.unwrap_or(0)];
                let is_group = after[1 + flags.len()..].starts_with([':', ')']);
                ensure!(!is_group || flags.chars().all(|flag| "imsU-".contains(flag)), "no such flag");
                (1, "(?".to_owned())
            }
            '[' if !within => {
                within = true;
                // The first character is a member, even `]` or `-`.
                let start = usize::from(after.starts_with('^'));
                let end = start + usize::from(after[start..].starts_with([']', '-']));
                let escape = if end > start { "\\" } else { "" };
                (end, format!("[{}{escape}{}", &after[..start], &after[start..end]))
            }
            ']' if within => {
                within = false;
                (0, "]".to_owned())
            }
            '[' => match after.strip_prefix(':').and_then(|name| name.find(":]")) {
                Some(end) => (end + 3, format!("[{}", &after[..end + 3])),
                None => (0, "\\[".to_owned()),
            },
            '&' | '~' if within => (0, format!("\\{letter}")),
            '-' if within && after.starts_with('-') => (1, "-\\-".to_owned()),
            '{' if !within => (0, "\\{".to_owned()),
            letter => (0, letter.to_string()),
        };
        out.push_str(&text);
        rest = &after[length..];
    }
    Ok(out)
}

/// The escape after a `\`: its length, and its translation.
fn escape(after: &str, within: bool) -> anyhow::Result<(usize, String)> {
    let letter = after.chars().next().context("nothing behind a backslash")?;
    let class = match letter {
        'd' => "0-9",
        's' => "\\t\\n\\f\\r ",
        'w' => "0-9A-Za-z_",
        'D' => "^0-9",
        'S' => "^\\t\\n\\f\\r ",
        'W' => "^0-9A-Za-z_",
        'b' if !within => return Ok((1, "(?-u:\\b)".to_owned())),
        'B' if !within => return Ok((1, "(?-u:\\B)".to_owned())),
        '<' | '>' => return Ok((1, letter.to_string())),
        'u' | 'U' => bail!("no such escape"),
        'Q' if !within => {
            let end = after.find("\\E").unwrap_or(after.len());
            return Ok(((end + 2).min(after.len()), regex::escape(&after[1..end])));
        }
        '0'..='7' => {
            let digits: String =
                after.chars().take(3).take_while(|digit| matches!(digit, '0'..='7')).collect();
            // A single digit other than zero is a back-reference, which neither Go nor the library has.
            return Ok(match u32::from_str_radix(&digits, 8) {
                Ok(code) if digits.len() > 1 || letter == '0' => (digits.len(), format!("\\x{{{code:x}}}")),
                _ => (1, format!("\\{letter}")),
            });
        }
        letter => return Ok((letter.len_utf8(), format!("\\{letter}"))),
    };
    Ok((1, if within && !class.starts_with('^') { class.to_owned() } else { format!("[{class}]") }))
}

/// The length of the repetition that a pattern starts with; 0 without one. In braces, it is `{2}`, `{2,}` or `{2,3}`;
/// any other brace is a literal.
fn repetition(pattern: &str) -> anyhow::Result<usize> {
    const MAX: u64 = 1000;
    let length = if pattern.starts_with(['*', '+', '?']) {
        1
    } else {
        let range = pattern.strip_prefix('{').and_then(|pattern| pattern.split_once('}'));
        let Some((range, _)) = range else { return Ok(0) };
        let (min, max) = range.split_once(',').unwrap_or((range, ""));
        if min.is_empty() || !min.bytes().chain(max.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Ok(0);
        }
        for number in [min, max] {
            ensure!(number.is_empty() || number.parse::<u64>()? <= MAX, "too many repetitions");
        }
        range.len() + 2
    };
    Ok(length + usize::from(pattern[length..].starts_with('?')))
}

fn find_n(given: &[Value]) -> anyhow::Result<Value> {
    let pattern = pattern(text(given, 0)?)?;
    let number = integer(given, 2)?;
    let all = pattern.find_iter(text(given, 1)?).map(|found| Value::from(found.as_str()));
    Ok(all.take(usize::try_from(number).unwrap_or(usize::MAX)).collect::<Vec<_>>().into())
}

fn split(given: &[Value]) -> anyhow::Result<Value> {
    let (pattern, whole) = (text(given, 0)?, text(given, 1)?);
    let regex = self::pattern(pattern)?;
    if whole.is_empty() && !pattern.is_empty() {
        return Ok(vec![""].into());
    }
    let (mut start, mut end) = (0, 0);
    let mut parts = Vec::new();
    for found in regex.find_iter(whole) {
        end = found.start();
        if found.end() != 0 {
            parts.push(&whole[start..end]);
        }
        start = found.end();
    }
    if end != whole.len() {
        parts.push(&whole[start..]);
    }
    Ok(parts.into())
}

fn replace(given: &[Value]) -> anyhow::Result<Value> {
    let (whole, template) = (text(given, 0)?, text(given, 2)?);
    let mut out = String::new();
    let mut start = 0;
    for found in pattern(text(given, 1)?)?.captures_iter(whole) {
        let range = found.get(0).context("it has a whole")?.range();
        out.push_str(&whole[start..range.start]);
        expand(&mut out, template, &found)?;
        start = range.end;
    }
    out.push_str(&whole[start..]);
    Ok(out.into())
}

/// Go's `Regexp.Expand`: `$1`, `$name`, `${name}` and `$$`; a name is as long as it can be.
fn expand(out: &mut String, template: &str, found: &Captures<'_>) -> anyhow::Result<()> {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{');
        let name = braced.unwrap_or(after);
        let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(name.len());
        let (name, behind) = name.split_at(end);
        let behind = if braced.is_some() { behind.strip_prefix('}') } else { Some(behind) };
        let Some(behind) = behind.filter(|_| !name.is_empty()) else {
            out.push('$');
            continue;
        };
        rest = behind;
        let group = match name.bytes().all(|byte| byte.is_ascii_digit()) {
            true => name.parse().ok().and_then(|nth| found.get(nth)),
            false => found.name(name),
        };
        out.push_str(group.map_or("", |group| group.as_str()));
        ensure!(out.len() <= MAX_TEXT, "the text is too long");
    }
    out.push_str(rest);
    ensure!(out.len() <= MAX_TEXT, "the text is too long");
    Ok(())
}

/// Matches a template: literal text with patterns between delimiters of one byte.
fn template_match(given: &[Value]) -> anyhow::Result<Value> {
    let (template, whole) = (text(given, 0)?, text(given, 1)?);
    let delimiter = |nth| -> anyhow::Result<u8> {
        let [delimiter] = text(given, nth)?.as_bytes() else { anyhow::bail!("a delimiter is one character") };
        Ok(*delimiter)
    };
    let (open, close) = (delimiter(2)?, delimiter(3)?);
    let mut full = String::from("^");
    let mut parts = Vec::new();
    let (mut depth, mut start, mut end) = (0_usize, 0, 0);
    for (at, byte) in template.bytes().enumerate() {
        if byte == open {
            depth += 1;
            if depth == 1 {
                start = at;
            }
        } else if byte == close {
            depth = depth.checked_sub(1).context("unbalanced delimiters")?;
            if depth == 0 {
                let part = &template[start + 1..at];
                parts.push(part);
                full.push_str(&format!("{}({part})", literal(&template[end..start])));
                end = at + 1;
            }
        }
    }
    ensure!(depth == 0, "unbalanced delimiters");
    full.push_str(&format!("{}$", literal(&template[end..])));
    // The whole comes first: its size limit bounds the cost of its parts.
    let full = pattern(&full)?;
    for part in parts {
        pattern(&format!("^{part}$"))?;
    }
    Ok(full.is_match(whole).into())
}

/// A pattern of Go's that matches `text` literally.
fn literal(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if "\\.+*?()|[]{}^$".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        let check = |pattern: &str, whole: &str, expected: Value| {
            assert_eq!(find_n(&[json!(pattern), json!(whole), json!(-1)]).unwrap(), expected, "{pattern}");
        };
        check(r"\w+", "zoë x", json!(["zo", "x"]));
        check(r"\bx", "ëx", json!(["x"]));
        check(r"[\D]", "1a", json!(["a"]));
        check(r"[^\d]", "1a", json!(["a"]));
        check(r"\Q.[\E[[&&]a{,2}", ".[[a{,2}", json!([".[[a{,2}"]));
        check(r"[]a]+[[:digit:]]{1,2}", "]a12", json!(["]a12"]));
        check(r"\<\101\x41\>", "<AA>", json!(["<AA>"]));
        check(r"a*", "baac", json!(["", "aa", ""]));
    }

    #[test]
    fn templates_expand_as_in_go() {
        let check = |template: &str, expected: &str| {
            let given = [json!("hello world"), json!(r"(?P<a>\w+) (\w+)"), json!(template)];
            assert_eq!(replace(&given).unwrap(), json!(expected), "{template}");
        };
        check("$2 ${a}!", "world hello!");
        check("$1x|${1}x|$$|$|${|${}|$9", "|hellox|$|$|${|${}|");
        assert_eq!(replace(&[json!("abc"), json!(""), json!("-")]).unwrap(), json!("-a-b-c-"));
        assert!(replace(&[json!("a".repeat(1 << 16)), json!("a*"), json!("$0".repeat(1 << 12))]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(pattern in "([\\\\\\[\\](){}^$&|<>*+?.,:-]|[a-zA-Z0-9]|.)*", whole: String, template in "([${}]|[a0-9]|.)*", any in super::super::tests::any()) {
            let _ = (find_n(&[json!(pattern), json!(whole), json!(-1)]), split(&[json!(pattern), json!(whole)]));
            let _ = replace(&[json!(whole), json!(pattern), json!(template)]);
            let _ = replace(&[json!(whole), json!("(.)"), json!(template)]);
            let _ = template_match(&[json!(pattern), json!(whole), json!("{"), json!("}")]);
            let _ = template_match(&[json!(pattern), json!(whole), any.clone(), any.clone()]);
            let _ = (find_n(&[any.clone(), any.clone(), any.clone()]), split(std::slice::from_ref(&any)), replace(&[any]));
        }
    }
}
