//! Times, in nanoseconds since 1970, UTC only: other zones need the time zone database, which is not included.

use std::time::UNIX_EPOCH;

use anyhow::{Context, ensure};
use chrono::{DateTime, Datelike as _, Months, TimeDelta, Timelike as _, Utc};
use serde_json::Value;

use super::Builtin::{self, OfQuery, Pure};
use super::{integer, layouts, layouts_read, text, whole};

pub const ALL: &[(&str, Builtin)] = &[
    ("time.add_date", Pure(add_date)),
    (
        "time.clock",
        Pure(|given| {
            let at = moment(given)?;
            Ok(vec![at.hour(), at.minute(), at.second()].into())
        }),
    ),
    (
        "time.date",
        Pure(|given| {
            let at = moment(given)?;
            Ok(vec![i64::from(at.year()), at.month().into(), at.day().into()].into())
        }),
    ),
    ("time.diff", Pure(diff)),
    ("time.format", Pure(format)),
    (
        "time.now_ns",
        OfQuery(|query, _| {
            let since = query.began.duration_since(UNIX_EPOCH).context("before 1970")?;
            Ok(i64::try_from(since.as_nanos())?.into())
        }),
    ),
    ("time.parse_duration_ns", Pure(|given| Ok(duration(text(given, 0)?)?.into()))),
    ("time.parse_ns", Pure(|given| parsed(text(given, 0)?, text(given, 1)?))),
    ("time.parse_rfc3339_ns", Pure(|given| parsed("RFC3339", text(given, 0)?))),
    ("time.weekday", Pure(|given| Ok(moment(given)?.format("%A").to_string().into()))),
];

/// A number of nanoseconds, or an array of that and the name of a zone.
fn moment(given: &[Value]) -> anyhow::Result<DateTime<Utc>> {
    let ns = match given.first() {
        Some(Value::Array(parts)) => {
            ensure!(parts.len() < 2 || matches!(text(parts, 1)?, "" | "UTC"), "only UTC is known here");
            whole(parts, 0)?
        }
        _ => whole(given, 0)?,
    };
    Ok(DateTime::from_timestamp_nanos(ns))
}

/// Formats by the layout that is third in the array, or by RFC 3339.
fn format(given: &[Value]) -> anyhow::Result<Value> {
    let at = moment(given)?;
    let layout = match given.first() {
        Some(Value::Array(parts)) if parts.len() > 2 => text(parts, 2)?,
        _ => "",
    };
    Ok(layouts::format(&at, layouts::named(if layout.is_empty() { "RFC3339Nano" } else { layout })).into())
}

fn parsed(layout: &str, text: &str) -> anyhow::Result<Value> {
    let at = layouts_read::parse(layouts::named(layout), text)?;
    Ok(at.timestamp_nanos_opt().context("too far from 1970")?.into())
}

/// The years, months, days, hours, minutes and seconds between two times in any order.
fn diff(given: &[Value]) -> anyhow::Result<Value> {
    let (one, other) = (moment(given)?, moment(given.get(1..).unwrap_or_default())?);
    let (first, last) = if one > other { (other, one) } else { (one, other) };
    let parts = |at: DateTime<Utc>| {
        let date = [i64::from(at.year()), at.month().into(), at.day().into()];
        (date, [at.hour(), at.minute(), at.second()].map(i64::from))
    };
    let (([year, month, day], [hour, minute, second]), (date, clock)) = (parts(first), parts(last));
    let mut by = [date[0] - year, date[1] - month, date[2] - day];
    let mut clock = [clock[0] - hour, clock[1] - minute, clock[2] - second];
    for (nth, size) in [(2, 60), (1, 60), (0, 24)] {
        if clock[nth] < 0 {
            clock[nth] += size;
            match nth {
                0 => by[2] -= 1,
                nth => clock[nth - 1] -= 1,
            }
        }
    }
    if by[2] < 0 {
        by[2] += i64::from(layouts::days_in(first.year(), first.month()));
        by[1] -= 1;
    }
    if by[1] < 0 {
        by[1] += 12;
        by[0] -= 1;
    }
    Ok([by, clock].concat().into())
}

/// Adds years, months and days; a day beyond the end of the month falls in the next month, as in Go.
fn add_date(given: &[Value]) -> anyhow::Result<Value> {
    let at = moment(given)?;
    let months =
        integer(given, 1)?.checked_mul(12).and_then(|months| months.checked_add(integer(given, 2).ok()?));
    let months = months.context("too many months")?;
    let first = at.with_day(1).context("no such day")?;
    let by = Months::new(u32::try_from(months.unsigned_abs())?);
    let first = if months < 0 { first.checked_sub_months(by) } else { first.checked_add_months(by) };
    let days = integer(given, 3)?.checked_add(i64::from(at.day()) - 1).context("too many days")?;
    let moved = first.and_then(|first| first.checked_add_signed(TimeDelta::try_days(days)?));
    Ok(moved.and_then(|moved| moved.timestamp_nanos_opt()).context("too far from 1970")?.into())
}

/// Go's durations: `1h30m`, `-1.5s`, `300ms`.
pub fn duration(text: &str) -> anyhow::Result<i64> {
    const UNITS: [(&str, u64); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    ensure!(!rest.is_empty(), "an empty duration");
    let is_digit = |letter: char| letter.is_ascii_digit();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let end = rest.find(|letter| !is_digit(letter) && letter != '.').context("no unit")?;
        let (number, behind) = rest.split_at(end);
        let length = behind.find(|letter| is_digit(letter) || letter == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(length);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).context("no such unit")?;
        let (before, after) = number.split_once('.').unwrap_or((number, ""));
        ensure!(!(after.contains('.') || before.is_empty() && after.is_empty()), "not a number");
        let whole = if before.is_empty() { 0 } else { before.parse::<u64>()? };
        let part = if after.is_empty() { 0.0 } else { format!("0.{after}").parse::<f64>()? };
        let length =
            whole.checked_mul(*factor).and_then(|whole| whole.checked_add((part * *factor as f64) as u64));
        total = length.and_then(|length| total.checked_add(length)).context("too long")?;
        rest = next;
    }
    let total = i128::from(total);
    Ok(i64::try_from(if is_negative { -total } else { total })?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_parsed_as_in_go() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(duration(text).ok(), expected, "{text}");
        check("1h30m", Some(5_400_000_000_000));
        check("-1.5s", Some(-1_500_000_000));
        check("300ms", Some(300_000_000));
        check("0", Some(0));
        check("2562047h47m16.854775807s", Some(i64::MAX));
        check("-.5us", Some(-500));
        for wrong in ["", "1", "s", "1x", "1.2.3s", ".s", "1 day", "2562047h47m16.854775808s"] {
            check(wrong, None);
        }
    }

    #[test]
    fn dates_are_added_as_in_go() {
        let ns = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_nanos_opt().unwrap();
        let check = |from: &str, by: [i64; 3], to: &str| {
            let moved = add_date(&[json!(ns(from)), json!(by[0]), json!(by[1]), json!(by[2])]).unwrap();
            assert_eq!(moved, json!(ns(to)), "{from} {by:?}");
        };
        check("2020-01-31T10:00:00Z", [0, 1, 0], "2020-03-02T10:00:00Z");
        check("2020-02-29T00:00:00Z", [1, 0, 0], "2021-03-01T00:00:00Z");
        check("2020-03-01T00:00:00Z", [0, 0, -1], "2020-02-29T00:00:00Z");
        check("2020-01-15T00:00:00Z", [0, -1, 0], "2019-12-15T00:00:00Z");
    }

    #[test]
    fn differences_are_as_in_go() {
        let ns = |text: &str| parsed("RFC3339", text).unwrap();
        let check = |one: &str, other: &str, expected: [i64; 6]| {
            assert_eq!(diff(&[ns(one), ns(other)]).unwrap(), json!(expected), "{one} {other}");
        };
        check("2022-08-08T22:07:39Z", "2020-02-29T23:59:59Z", [2, 5, 7, 22, 7, 40]);
        check("2020-01-31T00:00:00Z", "2020-03-01T00:00:00Z", [0, 1, 1, 0, 0, 0]);
        check("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", [0; 6]);
        assert!(diff(&[json!([0, "Europe/Paris"]), json!(0)]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(one: i64, other: i64, years: i64, days: i64, text in "([-+.0-9hmsnuµ]|.)*", a in super::super::tests::any(), b in super::super::tests::any()) {
            let _ = (diff(&[json!(one), json!(other)]), add_date(&[json!(one), json!(years), json!(days), json!(days)]));
            let _ = (format(&[json!([one, "UTC", text])]), duration(&text), parsed(&text, &text));
            for (name, builtin) in ALL {
                let Pure(call) = builtin else { assert_eq!(*name, "time.now_ns"); continue };
                let given = [a.clone(), b.clone(), a.clone(), b.clone()];
                let _ = (call(&given), call(&[json!([a, "", b])]), call(&[json!(one)]), call(&[]));
            }
        }
    }
}
