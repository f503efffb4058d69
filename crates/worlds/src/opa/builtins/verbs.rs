//! Formats values as Go's `fmt` does: by a verb, with its flags, width and precision.

use std::fmt::Write as _;

use serde_json::Value;

use super::encoding::hex;
use super::members;

/// More digits than any number has. Rust formats at most 65535.
const MAX_DIGITS: usize = 1100;

/// The flags, width and precision between `%` and the verb.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    pub sharp: bool,
    /// `#` of the verb `v`.
    pub sharp_v: bool,
    pub zero: bool,
    pub plus: bool,
    pub minus: bool,
    pub space: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

/// A value as OPA passes it to Go: numbers and strings as they are, any other as its Rego text.
#[derive(Debug)]
pub enum GoValue {
    Int(i64),
    /// Beyond `i64`.
    Big(u64),
    Float(f64),
    Text(String),
}

impl GoValue {
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Int(number),
                (None, Some(number)) => Self::Big(number),
                (None, None) => Self::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Text(rego(other)),
        }
    }

    /// The name of its type in Go.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Big(_) => "*big.Int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
        }
    }

    pub fn write(&self, out: &mut String, verb: char, flags: Flags) {
        let done = match self {
            _ if verb == 'T' => {
                out.push_str(&flags.padded(flags.cut(self.kind()).to_owned()));
                true
            }
            Self::Int(number) => flags.integer(out, verb, *number < 0, number.unsigned_abs()),
            Self::Big(number) => big(out, verb, flags, *number),
            Self::Float(number) => flags.float(out, verb, *number),
            Self::Text(text) => flags.text(out, verb, text),
        };
        if !done {
            let _ = write!(out, "%!{verb}({}=", self.kind());
            self.write(out, 'v', flags);
            out.push(')');
        }
    }
}

/// Go's `big.Int` formats itself, and has fewer verbs.
fn big(out: &mut String, verb: char, flags: Flags, number: u64) -> bool {
    match verb {
        's' | 'v' => flags.integer(out, 'd', false, number),
        'b' | 'o' | 'O' | 'd' | 'x' | 'X' => flags.integer(out, verb, false, number),
        _ => {
            let _ = write!(out, "%!{verb}(big.Int={number})");
            true
        }
    }
}

impl Flags {
    fn padded(&self, text: String) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        match (self.minus, self.zero) {
            (true, _) => text + &" ".repeat(missing),
            (false, true) => "0".repeat(missing) + &text,
            (false, false) => " ".repeat(missing) + &text,
        }
    }

    fn blank_padded(mut self, text: String) -> String {
        self.zero = false;
        self.padded(text)
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }

    fn cut<'a>(&self, text: &'a str) -> &'a str {
        let end = self.precision.and_then(|precision| text.char_indices().nth(precision));
        end.map_or(text, |(end, _)| &text[..end])
    }

    fn integer(&self, out: &mut String, verb: char, negative: bool, number: u64) -> bool {
        let mut digits = match verb {
            'v' | 'd' => number.to_string(),
            'b' => format!("{number:b}"),
            'o' | 'O' => format!("{number:o}"),
            'x' => format!("{number:x}"),
            'X' => format!("{number:X}"),
            'c' | 'q' | 'U' => {
                // As a `u64`, in which a negative number is no valid character.
                let number = if negative { number.wrapping_neg() } else { number };
                out.push_str(&self.letter(verb, number));
                return true;
            }
            _ => return false,
        };
        let sign = self.sign(negative);
        let least = match (self.precision, self.width) {
            (Some(0), width) if number == 0 => {
                out.push_str(&" ".repeat(width.unwrap_or(0)));
                return true;
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if self.zero && !self.minus => width.saturating_sub(sign.len()),
            _ => 0,
        };
        digits.insert_str(0, &"0".repeat(least.saturating_sub(digits.len())));
        let prefix = match (self.sharp, verb) {
            (_, 'O') => "0o",
            (true, 'b') => "0b",
            (true, 'o') if !digits.starts_with('0') => "0",
            (true, 'x') => "0x",
            (true, 'X') => "0X",
            _ => "",
        };
        out.push_str(&self.blank_padded(format!("{sign}{prefix}{digits}")));
        true
    }

    /// A number as a Unicode character.
    fn letter(&self, verb: char, number: u64) -> String {
        let letter = u32::try_from(number).ok().and_then(char::from_u32);
        let known = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
        match verb {
            'c' => self.padded(known.to_string()),
            'q' => self.padded(quoted(&known.to_string(), '\'', self.plus)),
            _ => {
                let least = self.precision.unwrap_or(0).max(4);
                let seen = letter.filter(|letter| self.sharp && is_printable(*letter));
                let seen = seen.map_or(String::new(), |letter| format!(" '{letter}'"));
                let digits = format!("{number:X}");
                let zeros = "0".repeat(least.saturating_sub(digits.len()));
                self.blank_padded(format!("U+{zeros}{digits}{seen}"))
            }
        }
    }

    fn float(&self, out: &mut String, verb: char, number: f64) -> bool {
        let size = number.abs();
        let precision = self.precision.unwrap_or(6);
        let mut digits = match verb {
            'f' | 'F' => format!("{size:.*}", precision.min(MAX_DIGITS)),
            'e' | 'E' => exponent(&format!("{size:.*e}", precision.min(MAX_DIGITS))),
            'v' | 'g' | 'G' => self.shortest(size),
            _ => return false,
        };
        if precision > MAX_DIGITS && matches!(verb, 'f' | 'F' | 'e' | 'E') {
            let end = digits.find('e').unwrap_or(digits.len());
            digits.insert_str(end, &"0".repeat(precision - MAX_DIGITS));
        }
        if matches!(verb, 'E' | 'G') {
            digits.make_ascii_uppercase();
        }
        if self.sharp {
            let end = digits.find(['e', 'E']).unwrap_or(digits.len());
            let significant = digits[..end].trim_start_matches(['0', '.']);
            let count = significant.bytes().filter(u8::is_ascii_digit).count().max(usize::from(size == 0.0));
            let least = if matches!(verb, 'v' | 'g') { self.precision.unwrap_or(6) } else { 0 };
            let point = if digits[..end].contains('.') { "" } else { "." };
            digits.insert_str(end, &format!("{point}{}", "0".repeat(least.saturating_sub(count))));
        }
        let sign = self.sign(number.is_sign_negative());
        let zeros = match self.width {
            Some(width) if self.zero && !self.minus => width.saturating_sub(sign.len() + digits.len()),
            _ => 0,
        };
        out.push_str(&self.blank_padded(format!("{sign}{}{digits}", "0".repeat(zeros))));
        true
    }

    /// `%g`: `%e` for very small and very large numbers.
    fn shortest(&self, size: f64) -> String {
        let precision = self.precision.map(|precision| precision.clamp(1, MAX_DIGITS));
        let scientific = match precision {
            Some(precision) => format!("{size:.*e}", precision - 1),
            None => format!("{size:e}"),
        };
        let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let power: i32 = power.parse().unwrap_or(0);
        let digits =
            if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        let count = digits.bytes().filter(u8::is_ascii_digit).count() as i32;
        let limit = match precision.map(|precision| precision as i32) {
            None => 6,
            Some(precision) if precision > count && count > power => count,
            Some(precision) => precision,
        };
        if power < -4 || power >= limit {
            return exponent(&format!("{digits}e{power}"));
        }
        format!("{size:.*}", usize::try_from(count - 1 - power).unwrap_or(0))
    }

    fn text(&self, out: &mut String, verb: char, text: &str) -> bool {
        match verb {
            'v' if !self.sharp_v => out.push_str(&self.padded(self.cut(text).to_owned())),
            's' => out.push_str(&self.padded(self.cut(text).to_owned())),
            'q' | 'v' => {
                let text = self.cut(text);
                let raw = |letter: char| {
                    letter != '`' && letter != '\u{feff}' && (letter == '\t' || !letter.is_control())
                };
                let quoted = match self.sharp && text.chars().all(raw) {
                    true => format!("`{text}`"),
                    false => quoted(text, '"', self.plus),
                };
                out.push_str(&self.padded(quoted));
            }
            'x' | 'X' => out.push_str(&self.padded(self.bytes(verb, text))),
            _ => return false,
        }
        true
    }

    fn bytes(&self, verb: char, text: &str) -> String {
        let bytes = &text.as_bytes()[..self.precision.unwrap_or(usize::MAX).min(text.len())];
        let prefix = match self.sharp && !bytes.is_empty() {
            true if verb == 'x' => "0x",
            true => "0X",
            false => "",
        };
        let digits = |bytes: &[u8]| {
            let digits = hex(bytes);
            if verb == 'x' { digits } else { digits.to_ascii_uppercase() }
        };
        if self.space {
            let each = bytes.iter().map(|byte| format!("{prefix}{}", digits(&[*byte])));
            return each.collect::<Vec<_>>().join(" ");
        }
        format!("{prefix}{}", digits(bytes))
    }
}

/// Rust's `1.5e-7` as Go's `1.5e-07`.
fn exponent(text: &str) -> String {
    let (digits, power) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

fn is_printable(letter: char) -> bool {
    // After a letter, so that combining characters are not escaped.
    letter == ' '
        || !letter.is_whitespace() && format!("a{letter}").escape_debug().nth(2).is_none()
        || matches!(letter, '"' | '\'' | '\\')
}

/// Go's `strconv.Quote`.
pub fn quoted(text: &str, mark: char, ascii: bool) -> String {
    let mut out = String::from(mark);
    for letter in text.chars() {
        let short = match letter {
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{b}' => 'v',
            '\\' => '\\',
            letter if letter == mark => mark,
            _ => '\0',
        };
        let code = u32::from(letter);
        let _ = match code {
            _ if short != '\0' => write!(out, "\\{short}"),
            _ if is_printable(letter) && (!ascii || code < 0x80) => write!(out, "{letter}"),
            0..=0x1f | 0x7f => write!(out, "\\x{code:02x}"),
            0..=0xffff => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out.push(mark);
    out
}

/// A value as `print` writes it: strings are not quoted.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| rego(value), str::to_owned)
}

/// A value as Rego writes it.
fn rego(value: &Value) -> String {
    match members(value) {
        Some([]) => return "set()".into(),
        Some(members) => {
            return format!("{{{}}}", members.iter().map(rego).collect::<Vec<_>>().join(", "));
        }
        None => {}
    }
    match value {
        Value::String(text) => quoted(text, '"', false),
        Value::Array(items) => format!("[{}]", items.iter().map(rego).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| format!("{}: {}", quoted(name, '"', false), rego(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
