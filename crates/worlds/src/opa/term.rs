//! OPA's values: JSON, and sets. Numbers keep their digits.
//!
//! Policies write them as Rego, a superset of JSON; clients read JSON, in which a set is an array in OPA's order.

use std::cmp::Ordering;
use std::iter;

/// Deeper values are refused: each level takes a frame of the host's stack.
const MAX_DEPTH: usize = 256;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    Null,
    Bool(bool),
    /// Its digits.
    Number(String),
    String(String),
    Array(Vec<Term>),
    /// Unordered fields.
    Object(Vec<(Term, Term)>),
    /// Unordered members.
    Set(Vec<Term>),
}

impl Term {
    /// Parses Rego or JSON; `None` if it is neither.
    pub fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let term = reader.term(0)?;
        reader.blanks();
        reader.rest.is_empty().then_some(term)
    }

    /// An empty object.
    pub fn empty() -> Self {
        Self::Object(Vec::new())
    }

    /// The child that the component `name` of a path selects: a field, an item by its index, or a member.
    pub fn step(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(key, _)| key.is_named(name)).map(|(_, value)| value),
            Self::Array(items) => items.get(name.parse::<usize>().ok()?),
            Self::Set(members) => members.iter().find(|member| member.is_named(name)),
            _ => None,
        }
    }

    /// Puts `value` at `path` below this, replacing what is in its way.
    pub fn put(&mut self, path: &[&str], value: Self) {
        let [name, rest @ ..] = path else {
            *self = value;
            return;
        };
        if !matches!(self, Self::Object(_)) {
            *self = Self::empty();
        }
        if let Self::Object(fields) = self {
            let at = fields.iter().position(|(key, _)| key.is_named(name)).unwrap_or_else(|| {
                fields.push((Self::String((*name).to_owned()), Self::Null));
                fields.len() - 1
            });
            fields[at].1.put(rest, value);
        }
    }

    /// Puts an empty object at `path` if there is nothing.
    pub fn make(&mut self, path: &[&str]) {
        if path.iter().try_fold(&*self, |at, name| at.step(name)).is_none() {
            self.put(path, Self::empty());
        }
    }

    fn is_named(&self, name: &str) -> bool {
        match self {
            Self::String(text) | Self::Number(text) => text == name,
            _ => false,
        }
    }

    /// JSON as OPA writes it: fields sorted by name, members in OPA's order, and `<`, `>` and `&` escaped for HTML.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(digits) => out.push_str(digits),
            Self::String(text) => quote(text, out),
            Self::Array(items) => list(items.iter(), out),
            Self::Set(_) => list(self.sorted().iter(), out),
            Self::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.name(), value)).collect();
                fields.sort_by(|(one, _), (other, _)| one.cmp(other));
                out.push('{');
                for (nth, (name, value)) in fields.into_iter().enumerate() {
                    out.push_str(if nth == 0 { "" } else { "," });
                    quote(&name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// The members of a set in OPA's order; empty for any other value.
    pub fn sorted(&self) -> Vec<Self> {
        let Self::Set(members) = self else { return Vec::new() };
        let mut members = members.clone();
        members.sort_by(Self::order);
        members
    }

    /// The name of a field with this key.
    pub fn name(&self) -> String {
        match self {
            Self::String(text) => text.clone(),
            other => other.json(),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::String(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
            Self::Set(_) => 6,
        }
    }

    /// OPA's order of values.
    fn order(&self, other: &Self) -> Ordering {
        fn all(one: &[Term], other: &[Term]) -> Ordering {
            let different =
                iter::zip(one, other).map(|(one, other)| one.order(other)).find(|order| order.is_ne());
            different.unwrap_or_else(|| one.len().cmp(&other.len()))
        }
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Number(one), Self::Number(other)) => {
                let [a, b] = [one, other].map(|digits| digits.parse::<f64>().unwrap_or(f64::MAX));
                a.total_cmp(&b).then_with(|| one.cmp(other))
            }
            (Self::String(one), Self::String(other)) => one.cmp(other),
            (Self::Array(one), Self::Array(other)) => all(one, other),
            (Self::Set(_), Self::Set(_)) => all(&self.sorted(), &other.sorted()),
            (Self::Object(one), Self::Object(other)) => {
                let keys = |fields: &[(Self, Self)]| {
                    let mut fields = fields.to_vec();
                    fields.sort_by(|(one, _), (other, _)| one.order(other));
                    fields.into_iter().flat_map(|(key, value)| [key, value]).collect::<Vec<_>>()
                };
                all(&keys(one), &keys(other))
            }
            (one, other) => one.rank().cmp(&other.rank()),
        }
    }
}

fn list<'a>(items: impl Iterator<Item = &'a Term>, out: &mut String) {
    out.push('[');
    for (nth, item) in items.enumerate() {
        out.push_str(if nth == 0 { "" } else { "," });
        item.write(out);
    }
    out.push(']');
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Reads `token` if it is next, and returns whether it was.
    fn takes(&mut self, token: &str) -> bool {
        self.blanks();
        let behind = self.rest.strip_prefix(token);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn term(&mut self, depth: usize) -> Option<Term> {
        self.blanks();
        let depth = depth + 1;
        match self.rest.as_bytes().first()? {
            _ if depth > MAX_DEPTH => None,
            b'{' => self.braces(depth),
            b'[' => {
                self.takes("[");
                Some(Term::Array(self.items("]", depth)?))
            }
            b'"' => self.string().map(Term::String),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let words = [("null", Term::Null), ("true", Term::Bool(true)), ("false", Term::Bool(false))];
                let found = words.into_iter().find(|(word, _)| self.takes(word)).map(|(_, term)| term);
                found.or_else(|| self.takes("set()").then(|| Term::Set(Vec::new())))
            }
        }
    }

    /// Comma-separated items up to `end`.
    fn items(&mut self, end: &str, depth: usize) -> Option<Vec<Term>> {
        let mut items = Vec::new();
        if self.takes(end) {
            return Some(items);
        }
        loop {
            items.push(self.term(depth)?);
            if self.takes(end) {
                return Some(items);
            }
            if !self.takes(",") {
                return None;
            }
        }
    }

    /// An object or a set, depending on a colon after the first term.
    fn braces(&mut self, depth: usize) -> Option<Term> {
        self.takes("{");
        if self.takes("}") {
            return Some(Term::empty());
        }
        let first = self.term(depth)?;
        if !self.takes(":") {
            let mut members = vec![first];
            if self.takes(",") {
                members.extend(self.items("}", depth)?);
            } else if !self.takes("}") {
                return None;
            }
            return Some(Term::Set(members));
        }
        let mut fields = vec![(first, self.term(depth)?)];
        while !self.takes("}") {
            if !self.takes(",") {
                return None;
            }
            let key = self.term(depth)?;
            if !self.takes(":") {
                return None;
            }
            fields.push((key, self.term(depth)?));
        }
        Some(Term::Object(fields))
    }

    fn string(&mut self) -> Option<String> {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let (quoted, behind) = self.rest.split_at_checked(end + 1)?;
        self.rest = behind;
        serde_json::from_str(quoted).ok()
    }

    fn number(&mut self) -> Option<Term> {
        let is_digit = |letter: char| matches!(letter, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
        let end = self.rest.find(|letter| !is_digit(letter)).unwrap_or(self.rest.len());
        let (digits, behind) = self.rest.split_at(end);
        self.rest = behind;
        digits.parse::<f64>().ok().map(|_| Term::Number(digits.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Option<String> {
        Term::read(text).map(|term| term.json())
    }

    #[test]
    fn regos_text_becomes_json() {
        let check = |text: &str, expected: &str| assert_eq!(json(text).as_deref(), Some(expected), "{text}");
        check(r#"{{"result": {"b": 1, "a": set()}}}"#, r#"[{"result":{"a":[],"b":1}}]"#);
        check(
            r#"{"x", [1], true, 2, 1.0, null, {"k": 1}, false}"#,
            r#"[null,false,true,1.0,2,"x",[1],{"k":1}]"#,
        );
        check(r#"{1: "a", true: "b", [1, 2]: "c"}"#, r#"{"1":"a","[1,2]":"c","true":"b"}"#);
        check("12345678901234567890123456789", "12345678901234567890123456789");
        check(r#""<zoë> \u0007 \" \n""#, r#""\u003czoë\u003e \u0007 \" \n""#);
        check("{}", "{}");
    }

    #[test]
    fn invalid_text_is_refused() {
        for text in ["", "{", "{1", "[1,]", "\"", "\"\\", "1 2", "nul", "{1:2", "-", &"[".repeat(100_000)] {
            assert_eq!(json(text), None, "{text:.20}");
        }
    }

    #[test]
    fn paths_lead_into_values() {
        let mut term = Term::read(r#"{"a": {"b": {"x", "y"}}, "c": [1, {"d": 2}]}"#).unwrap();
        let at = |term: &Term, path: &str| path.split('/').try_fold(term, Term::step).map(Term::json);
        assert_eq!(at(&term, "a/b/x").as_deref(), Some("\"x\""));
        assert_eq!(at(&term, "c/1/d").as_deref(), Some("2"));
        assert_eq!((at(&term, "a/b/z"), at(&term, "c/2")), (None, None));
        term.put(&["a", "e", "f"], Term::Bool(true));
        term.put(&["c"], Term::Null);
        term.make(&["a", "e"]);
        term.make(&["g"]);
        assert_eq!(term.json(), r#"{"a":{"b":["x","y"],"e":{"f":true}},"c":null,"g":{}}"#);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String, inside in "[{}\\[\\],:\" 1a\\\\tset()null]{0,40}") {
            let _ = json(&text);
            // Its JSON parses to the same value.
            if let Some(text) = json(&inside) {
                proptest::prop_assert_eq!(json(&text), Some(text));
            }
        }
    }
}
