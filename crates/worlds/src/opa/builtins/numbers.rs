//! Numbers: `numbers.range_step`, `rand`, `units`.

use anyhow::{Context, bail, ensure};
use serde_json::{Number, Value};

use super::Builtin::{self, OfQuery, Pure};
use super::{integer, random, text, whole};
use crate::opa::host::Query;

pub const ALL: &[(&str, Builtin)] = &[
    ("numbers.range_step", Pure(range_step)),
    ("rand.intn", OfQuery(rand_intn)),
    ("units.parse", Pure(|given| units(text(given, 0)?))),
    ("units.parse_bytes", Pure(|given| units_of_bytes(text(given, 0)?))),
];

/// The maximum length of a range.
const MAX_RANGE: usize = 1 << 20;

/// The numbers from the first argument to the second, up or down.
fn range_step(given: &[Value]) -> anyhow::Result<Value> {
    let (from, to, step) = (whole(given, 0)?, whole(given, 1)?, whole(given, 2)?);
    ensure!(step > 0, "a step is above zero");
    let distance = i128::from(to) - i128::from(from);
    let steps = distance.unsigned_abs() / u128::from(step.unsigned_abs());
    ensure!(steps < MAX_RANGE as u128, "the range is too long");
    let step = i128::from(step) * distance.signum();
    let all = (0..=steps as i128).map(|nth| Ok(i64::try_from(i128::from(from) + nth * step)?.into()));
    all.collect::<anyhow::Result<Vec<Value>>>().map(Value::from)
}

/// A number below the second argument, the same for the same arguments during a query.
fn rand_intn(query: &mut Query, given: &[Value]) -> anyhow::Result<Value> {
    let (name, below) = (text(given, 0)?, integer(given, 1)?.unsigned_abs());
    if below == 0 {
        return Ok(0.into());
    }
    super::once(query, &format!("rand.intn {below} {name}"), || {
        // From 128 bits, so that the bias is below 2⁻⁶⁴.
        Ok(u64::try_from(u128::from_le_bytes(random()?) % u128::from(below))?.into())
    })
}

/// A number with a unit: a power of 1000, or of 1024 with an `i`; `m` is a thousandth.
fn units(text: &str) -> anyhow::Result<Value> {
    let text = text.replace('"', "");
    let (amount, unit) = parted(&text)?;
    let mut letters = unit.chars();
    let first = letters.next().map(String::from).unwrap_or_default();
    let factor = match first + &letters.as_str().to_lowercase() {
        unit if unit == "m" => {
            // OPA multiplies by 0.001 as a binary fraction, so that no product is an integer.
            let ten_digits = format!("{:.10}", approximate(amount)? * 0.001);
            return Ok(Number::from_f64(ten_digits.parse()?).context("not a number")?.into());
        }
        unit if unit.starts_with('M') || !unit.starts_with('m') || unit == "mi" => {
            power(&unit.to_lowercase()).context("no such unit")?
        }
        _ => bail!("no such unit"),
    };
    Ok(match product(amount, factor)? {
        Product::Whole(number) => number,
        Product::Parts(number) => {
            Number::from_f64(format!("{number:.10}").parse()?).context("not a number")?.into()
        }
    })
}

/// The same in bytes, with or without a `b` after the unit; truncated to an integer.
fn units_of_bytes(text: &str) -> anyhow::Result<Value> {
    let text = text.to_lowercase().replace('"', "");
    let (amount, unit) = parted(&text)?;
    let unit = match unit.strip_suffix('b') {
        Some("") => bail!("no such unit"),
        short => short.unwrap_or(unit),
    };
    match product(amount, power(unit).context("no such unit")?)? {
        Product::Whole(number) => Ok(number),
        Product::Parts(number) => from_f64(number.trunc()),
    }
}

/// Splits the amount from its unit.
fn parted(text: &str) -> anyhow::Result<(&str, &str)> {
    ensure!(!text.contains(' '), "no blanks are allowed");
    let bytes = text.as_bytes();
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        let next = bytes.get(end + 1);
        match byte {
            b'0'..=b'9' | b'.' | b'+' | b'-' => {}
            // An exponent belongs to the number if digits follow.
            b'e' | b'E' if next.is_some_and(u8::is_ascii_digit) => {}
            b'e' | b'E' if next.is_some_and(|next| matches!(next, b'+' | b'-')) => end += 1,
            _ => break,
        }
        end += 1;
    }
    ensure!(end > 0, "no number before the unit");
    Ok(text.split_at(end))
}

fn approximate(amount: &str) -> anyhow::Result<f64> {
    let number: f64 = amount.parse()?;
    ensure!(number.is_finite(), "too large");
    Ok(number)
}

enum Product {
    Whole(Value),
    Parts(f64),
}

/// An amount times a factor: exact if it fits 128 bits.
fn product(amount: &str, factor: u64) -> anyhow::Result<Product> {
    let rough = approximate(amount)?;
    let (digits, exponent) = amount.split_once(['e', 'E']).unwrap_or((amount, "0"));
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let after = after.trim_end_matches('0');
    let exact = || -> Option<Product> {
        let power = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(after.len()).ok()?)?;
        let digits = format!("{before}{after}");
        let digits = digits.parse::<i128>().ok()?.checked_mul(i128::from(factor))?;
        let scale = 10_i128.checked_pow(u32::try_from(power.unsigned_abs()).ok()?)?;
        let number = match power {
            0.. => digits.checked_mul(scale)?,
            _ if digits % scale == 0 => digits / scale,
            _ => return Some(Product::Parts(digits as f64 / scale as f64)),
        };
        i64::try_from(number)
            .map(Value::from)
            .or(u64::try_from(number).map(Value::from))
            .ok()
            .map(Product::Whole)
    };
    if let Some(product) = exact() {
        return Ok(product);
    }
    let number = rough * factor as f64;
    Ok(if number.fract() == 0.0 { Product::Whole(from_f64(number)?) } else { Product::Parts(number) })
}

/// A JSON number; an integer has no fraction.
fn from_f64(value: f64) -> anyhow::Result<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Ok((value as i64).into());
    }
    Ok(Number::from_f64(value).context("not a number")?.into())
}

fn power(unit: &str) -> Option<u64> {
    let (letter, base) = match unit.strip_suffix('i') {
        Some(letter) => (letter, 1024_u64),
        None => (unit, 1000),
    };
    if unit.is_empty() {
        return Some(1);
    }
    let exponent = ["k", "m", "g", "t", "p", "e"].iter().position(|known| *known == letter)?;
    base.checked_pow(u32::try_from(exponent).ok()? + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn units_are_opas() {
        let check = |text: &str, expected: Option<Value>| assert_eq!(units(text).ok(), expected, "{text}");
        check("10", Some(json!(10)));
        check("1.5M", Some(json!(1_500_000)));
        check("200m", Some(json!(0.2)));
        check("1MI", Some(json!(1_048_576)));
        check("-1.5e3k", Some(json!(-1_500_000)));
        check("0.1", Some(json!(0.1)));
        check("1e", Some(json!(1_000_000_000_000_000_000_u64)));
        for wrong in ["", "K", "1 K", "1x", "1mb", "1-2", "1e99999999999"] {
            check(wrong, None);
        }
        let check =
            |text: &str, expected: Option<Value>| assert_eq!(units_of_bytes(text).ok(), expected, "{text}");
        check("1.1KiB", Some(json!(1126)));
        check("\"2Gi\"", Some(json!(2_147_483_648_u64)));
        check("8EiB", Some(json!(1_u64 << 63)));
        check("1b", None);
    }

    #[test]
    fn ranges_are_opas() {
        let check = |given: [i64; 3], expected: Option<Value>| {
            assert_eq!(range_step(&given.map(Value::from)).ok(), expected, "{given:?}");
        };
        check([1, 10, 3], Some(json!([1, 4, 7, 10])));
        check([10, 1, 4], Some(json!([10, 6, 2])));
        check([1, 1, 1], Some(json!([1])));
        check([i64::MAX, i64::MIN, i64::MAX], Some(json!([i64::MAX, 0, -i64::MAX])));
        check([0, 1 << 20, 1], None);
        check([1, 2, 0], None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(amount in "[-+0-9.eE]{0,40}", unit in "[\"a-zA-Zé ]{0,4}", a in super::super::tests::any(), b in super::super::tests::any(), c in super::super::tests::any()) {
            let text = format!("{amount}{unit}");
            let _ = (units(&text), units_of_bytes(&text), range_step(&[a.clone(), b.clone(), c]));
            let _ = (rand_intn(&mut Query::default(), &[json!("a"), a]), rand_intn(&mut Query::default(), &[b]));
        }
    }
}
