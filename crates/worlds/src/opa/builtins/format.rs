//! `sprintf`: Go's `fmt.Sprintf` for Rego's values. [`verbs`](super::verbs) formats one value.

use std::fmt::Write as _;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::Builtin::{self, WithSets};
use super::text;
use super::verbs::{Flags, GoValue};

pub const ALL: &[(&str, Builtin)] = &[("sprintf", WithSets(sprintf))];

/// The longest result, in bytes: a format may have any width.
const MAX_TEXT: usize = 1 << 24;

/// Go's limit for widths, precisions and indices.
const TOO_LARGE: i64 = 1_000_000;

fn sprintf(given: &[Value]) -> anyhow::Result<Value> {
    let values = given.get(1).and_then(Value::as_array).context("the second argument is not an array")?;
    let values: Vec<_> = values.iter().map(GoValue::of).collect();
    Ok(Printer::new(text(given, 0)?, &values).print()?.into())
}

struct Printer<'a> {
    format: &'a str,
    /// The position in the format.
    at: usize,
    values: &'a [GoValue],
    next: usize,
    /// A verb has used an index.
    reordered: bool,
    good_index: bool,
    after_index: bool,
    out: String,
}

impl<'a> Printer<'a> {
    fn new(format: &'a str, values: &'a [GoValue]) -> Self {
        let out = String::new();
        Self { format, at: 0, values, next: 0, reordered: false, good_index: true, after_index: false, out }
    }

    fn print(mut self) -> anyhow::Result<String> {
        while let Some(length) = self.format[self.at..].find('%') {
            self.out.push_str(&self.format[self.at..self.at + length]);
            self.at += length + 1;
            self.good_index = true;
            let mut flags = self.flags();
            // A verb right after the flags has no width, precision or index.
            let simple = self.peek().is_some_and(|byte| byte.is_ascii_lowercase());
            if !(simple && self.next < self.values.len()) {
                self.width(&mut flags);
                self.precision(&mut flags);
                if !self.after_index {
                    self.index();
                }
            }
            let Some(verb) = self.format[self.at..].chars().next() else {
                self.out.push_str("%!(NOVERB)");
                self.at = self.format.len();
                break;
            };
            self.at += verb.len_utf8();
            self.verb(verb, flags);
            ensure!(self.out.len() <= MAX_TEXT, "the text is too long");
        }
        self.out.push_str(&self.format[self.at..]);
        self.extra()?;
        ensure!(self.out.len() <= MAX_TEXT, "the text is too long");
        Ok(self.out)
    }

    fn peek(&self) -> Option<u8> {
        self.format.as_bytes().get(self.at).copied()
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        flags
    }

    fn width(&mut self, flags: &mut Flags) {
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            let width = self.whole();
            if width.is_none() {
                self.out.push_str("%!(BADWIDTH)");
            }
            if width.is_some_and(|width| width < 0) {
                flags.minus = true;
                flags.zero = false;
            }
            flags.width = width.map(|width| width.unsigned_abs() as usize);
            self.after_index = false;
        } else {
            flags.width = self.number();
            if self.after_index && flags.width.is_some() {
                self.good_index = false;
            }
        }
    }

    fn precision(&mut self, flags: &mut Flags) {
        if self.peek() != Some(b'.') || self.at + 1 >= self.format.len() {
            return;
        }
        self.at += 1;
        if self.after_index {
            self.good_index = false;
        }
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            flags.precision = self.whole().and_then(|precision| usize::try_from(precision).ok());
            if flags.precision.is_none() {
                self.out.push_str("%!(BADPREC)");
            }
            self.after_index = false;
        } else {
            flags.precision = Some(self.number().unwrap_or(0));
        }
    }

    /// The number here; one that is too large discards the rest of the format.
    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut number = 0;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            if number > TOO_LARGE {
                self.at = self.format.len();
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
            self.at += 1;
        }
        (self.at > start).then(|| usize::try_from(number).ok()).flatten()
    }

    /// Reads an index such as `[2]`, if there is one here.
    fn index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let Some(length) = self.format[self.at..].find(']') else {
            self.good_index = false;
            self.at += 1;
            return;
        };
        let digits = &self.format[self.at + 1..self.at + length];
        self.at += length + 1;
        let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let index = digits.and_then(|digits| digits.parse::<usize>().ok());
        self.after_index = index.is_some();
        match index.and_then(|index| index.checked_sub(1)).filter(|index| *index < self.values.len()) {
            Some(index) => self.next = index,
            None => self.good_index = false,
        }
    }

    /// The next value as a width or a precision.
    fn whole(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            GoValue::Int(number) if (-TOO_LARGE..=TOO_LARGE).contains(number) => Some(*number),
            _ => None,
        }
    }

    fn verb(&mut self, verb: char, mut flags: Flags) {
        // Writing to a String does not fail.
        let _ = match (verb, self.values.get(self.next)) {
            ('%', _) => write!(self.out, "%"),
            _ if !self.good_index => write!(self.out, "%!{verb}(BADINDEX)"),
            (_, None) => write!(self.out, "%!{verb}(MISSING)"),
            (_, Some(value)) => {
                if matches!(verb, 'v' | 'w') {
                    flags.sharp_v = std::mem::take(&mut flags.sharp);
                    flags.plus = false;
                }
                value.write(&mut self.out, verb, flags);
                self.next += 1;
                Ok(())
            }
        };
    }

    /// Appends the values that no verb used.
    fn extra(&mut self) -> anyhow::Result<()> {
        if self.reordered || self.next >= self.values.len() {
            return Ok(());
        }
        self.out.push_str("%!(EXTRA ");
        for (nth, value) in self.values[self.next..].iter().enumerate() {
            if nth > 0 {
                self.out.push_str(", ");
            }
            self.out.push_str(value.kind());
            self.out.push('=');
            value.write(&mut self.out, 'v', Flags::default());
            ensure!(self.out.len() <= MAX_TEXT, "the text is too long");
        }
        self.out.push(')');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_as_go_does() {
        let check = |format: &str, values: Value, expected: &str| {
            assert_eq!(sprintf(&[json!(format), values]).unwrap(), json!(expected), "{format}");
        };
        check("%s is %d", json!(["a", 7]), "a is 7");
        check("%5d|%-5d|%05d|%+d", json!([7, 7, -7, 7]), "    7|7    |-0007|+7");
        check("%.2f %5.1f %v", json!([1.234, 2.5, 1.5]), "1.23   2.5 1.5");
        check("%v %v", json!([["a", 1], { "k": true }]), "[\"a\", 1] {\"k\": true}");
        check("%q %x %x 100%%", json!(["a", "a", 255]), "\"a\" 61 ff 100%");
        check("%s", json!([]), "%!s(MISSING)");
        check("a", json!([1]), "a%!(EXTRA int=1)");
        check("%", json!([1]), "%!(NOVERB)%!(EXTRA int=1)");
        check("%[2]s %[1]s", json!(["a", "b"]), "b a");
        check("%[3]d|%*d|%.*f", json!([4, 7, 5]), "5|%!(BADWIDTH)%!d(MISSING)|%!(BADPREC)%!f(MISSING)");
        check("%.70000e", json!([1.5]), &format!("1.5{}e+00", "0".repeat(69_999)));
        for format in ["%.1000000f", "%.1000000U", "%.1000000g", "%#.1000000g", "%.1000000x", "%1000000v"] {
            sprintf(&[json!(format), json!([1.5])]).unwrap();
            sprintf(&[json!(format), json!([1])]).unwrap();
        }
        check("%*d|%.*f", json!([4, 7, 1, 1.26]), "   7|1.3");
    }

    #[test]
    fn the_length_of_a_result_is_limited() {
        let format = "%1000000d".repeat(100);
        assert!(sprintf(&[json!(format), json!(vec![1; 100])]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(format in "(%|[-+# 0-9.*]|[1-9][0-9]{4,6}|\\[|\\]|[a-zA-Z]|.)*", a in super::super::tests::any(), b in super::super::tests::any()) {
            let _ = sprintf(&[json!(format), json!([a, b, 7, -1.5, "zoë"])]);
            let _ = (sprintf(&[a.clone(), b.clone()]), sprintf(&[json!("%v"), b]), sprintf(&[]));
        }
    }
}
