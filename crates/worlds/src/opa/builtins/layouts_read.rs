//! Parses times by Go's [`layouts`](super::layouts).

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};

use super::layouts::{DAYS, MONTHS, Offset, Part, next};

/// The fields of a time, as far as parsed.
#[derive(Default)]
struct ParsedTime {
    year: i32,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanosecond: u32,
    /// Whether it is after noon.
    noon: Option<bool>,
    /// In seconds.
    offset: i64,
    utc: bool,
}

/// Go's `time.Parse`. Any zone name is taken for UTC, as Go does for unknown ones.
///
/// # Errors
/// When the text does not match the layout, or is no valid time.
pub fn parse(layout: &str, text: &str) -> anyhow::Result<DateTime<Utc>> {
    let mut read = ParsedTime::default();
    let (mut layout, mut text) = (layout, text);
    loop {
        let (before, part, after) = next(layout);
        text = skip(text, before)?;
        let Some(part) = part else { break };
        layout = after;
        text = read.part(part, text, layout).context("not a time of the layout")?;
    }
    ensure!(text.is_empty(), "more than the layout has");
    read.time()
}

/// Skips the text of a layout between its elements; a blank matches any number of them.
fn skip<'a>(mut text: &'a str, mut before: &str) -> anyhow::Result<&'a str> {
    while let Some(letter) = before.chars().next() {
        if letter == ' ' {
            ensure!(text.is_empty() || text.starts_with(' '), "no blank where the layout has one");
            (before, text) = (before.trim_start_matches(' '), text.trim_start_matches(' '));
        } else {
            text = text.strip_prefix(letter).context("not what the layout has")?;
            before = &before[letter.len_utf8()..];
        }
    }
    Ok(text)
}

/// A number of `min` to `max` digits, if it is in the range.
fn digits(text: &str, min: usize, max: usize, range: std::ops::RangeInclusive<u32>) -> Option<(u32, &str)> {
    let end = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    let number = text[..end].parse().ok().filter(|number| end >= min && range.contains(number))?;
    Some((number, &text[end..]))
}

fn name<'a>(names: &[&str], length: usize, text: &'a str) -> Option<(u32, &'a str)> {
    let is = |name: &&str| {
        let name = &name[..length.min(name.len())];
        text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let nth = names.iter().position(is)?;
    Some((u32::try_from(nth).ok()?, &text[length.min(names[nth].len())..]))
}

impl ParsedTime {
    /// Reads an element, and returns the rest.
    fn part<'a>(&mut self, part: Part, text: &'a str, layout: &str) -> Option<&'a str> {
        let blank = |text: &'a str| text.strip_prefix(' ').unwrap_or(text);
        let rest;
        match part {
            Part::Year => {
                let (year, after) = digits(text, 2, 2, 0..=99)?;
                (self.year, rest) = (year as i32 + if year >= 69 { 1900 } else { 2000 }, after);
            }
            Part::LongYear => {
                let (year, after) = digits(text, 4, 4, 0..=9999)?;
                (self.year, rest) = (year as i32, after);
            }
            Part::Month | Part::LongMonth => {
                let (nth, after) = name(&MONTHS, if part == Part::Month { 3 } else { 9 }, text)?;
                (self.month, rest) = (Some(nth + 1), after);
            }
            Part::NumMonth | Part::ZeroMonth => {
                let (month, after) = digits(text, if part == Part::NumMonth { 1 } else { 2 }, 2, 1..=12)?;
                (self.month, rest) = (Some(month), after);
            }
            Part::WeekDay => (_, rest) = name(&DAYS, 3, text)?,
            Part::LongWeekDay => (_, rest) = name(&DAYS, 9, text)?,
            Part::Day | Part::UnderDay | Part::ZeroDay => {
                let text = if part == Part::UnderDay { blank(text) } else { text };
                let (day, after) = digits(text, if part == Part::ZeroDay { 2 } else { 1 }, 2, 0..=99)?;
                (self.day, rest) = (Some(day), after);
            }
            Part::UnderYearDay | Part::ZeroYearDay => {
                let text = if part == Part::UnderYearDay { blank(blank(text)) } else { text };
                let (day, after) = digits(text, if part == Part::ZeroYearDay { 3 } else { 1 }, 3, 0..=999)?;
                (self.year_day, rest) = (Some(day), after);
            }
            Part::Hour => (self.hour, rest) = digits(text, 1, 2, 0..=23)?,
            Part::Hour12 => (self.hour, rest) = digits(text, 1, 2, 0..=12)?,
            Part::ZeroHour12 => (self.hour, rest) = digits(text, 2, 2, 0..=12)?,
            Part::Minute => (self.minute, rest) = digits(text, 1, 2, 0..=59)?,
            Part::ZeroMinute => (self.minute, rest) = digits(text, 2, 2, 0..=59)?,
            Part::Second | Part::ZeroSecond => {
                let least = if part == Part::Second { 1 } else { 2 };
                let (second, after) = digits(text, least, 2, 0..=59)?;
                self.second = second;
                // A fraction may follow even if the layout has none.
                let has = matches!(next(layout).1, Some(Part::Fraction(..)));
                rest = if has { after } else { self.fraction(after, None).unwrap_or(after) };
            }
            Part::Noon(capital) => {
                let names = if capital { ["AM", "PM"] } else { ["am", "pm"] };
                let nth = names.iter().position(|name| text.starts_with(name))?;
                (self.noon, rest) = (Some(nth == 1), &text[2..]);
            }
            Part::Offset(offset) => rest = self.offset(offset, text)?,
            Part::Zone => rest = self.zone(text)?,
            Part::Fraction(count, _, true) => rest = self.fraction(text, Some(count))?,
            Part::Fraction(..) => rest = self.fraction(text, None).unwrap_or(text),
        }
        Some(rest)
    }

    /// `count` digits after a separator, or all.
    fn fraction<'a>(&mut self, text: &'a str, count: Option<usize>) -> Option<&'a str> {
        let after = text.strip_prefix(['.', ','])?;
        let all = after.bytes().take_while(u8::is_ascii_digit).count();
        let end = count.unwrap_or(all);
        if end == 0 || end > all {
            return None;
        }
        self.nanosecond = format!("{:0<9}", &after[..end.min(9)]).parse().ok()?;
        Some(&after[end..])
    }

    fn offset<'a>(&mut self, form: Offset, text: &'a str) -> Option<&'a str> {
        if form.z
            && let Some(rest) = text.strip_prefix('Z')
        {
            self.utc = true;
            return Some(rest);
        }
        let sign = match text.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        let (hours, mut rest) = digits(&text[1..], 2, 2, 0..=24)?;
        let mut seconds = i64::from(hours) * 3600;
        for (is, size) in [(form.minutes, 60), (form.seconds, 1)] {
            if is {
                rest = if form.colon { rest.strip_prefix(':')? } else { rest };
                let (number, after) = digits(rest, 2, 2, 0..=60)?;
                seconds += i64::from(number) * size;
                rest = after;
            }
        }
        self.offset = sign * seconds;
        Some(rest)
    }

    /// A zone's name: `UTC`, `CEST`, `+03`, `GMT-3`.
    fn zone<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if let Some(rest) = text.strip_prefix("UTC") {
            self.utc = true;
            return Some(rest);
        }
        let signed = |text: &'a str| {
            let number = text.strip_prefix(['+', '-'])?;
            let end = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
            number[..end].parse::<u64>().ok().filter(|hours| *hours <= 23).map(|_| &number[end..])
        };
        if let Some(rest) = text.strip_prefix("ChST").or(text.strip_prefix("MeST")) {
            return Some(rest);
        }
        if let Some(rest) = text.strip_prefix("GMT") {
            return Some(signed(rest).unwrap_or(rest));
        }
        if text.starts_with(['+', '-']) {
            return signed(text);
        }
        let capitals = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
        let length = match (capitals, text.as_bytes()) {
            (5, bytes) if bytes[4] == b'T' => 5,
            (4, bytes) if bytes[3] == b'T' || text.starts_with("WITA") => 4,
            (3, _) => 3,
            _ => return None,
        };
        Some(&text[length..])
    }

    fn time(self) -> anyhow::Result<DateTime<Utc>> {
        let hour = match self.noon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = match self.year_day {
            Some(day) => {
                let date = NaiveDate::from_yo_opt(self.year, day).context("no such day of the year")?;
                let is = |known: Option<u32>, day: u32| known.is_none_or(|known| known == day);
                if !(is(self.month, date.month()) && is(self.day, date.day())) {
                    bail!("the day of the year is another");
                }
                date
            }
            None => NaiveDate::from_ymd_opt(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1))
                .context("no such day")?,
        };
        let time =
            date.and_hms_nano_opt(hour, self.minute, self.second, self.nanosecond).context("no such time")?;
        let offset =
            TimeDelta::try_seconds(if self.utc { 0 } else { self.offset }).context("no such offset")?;
        time.and_utc().checked_sub_signed(offset).context("no such time")
    }
}

#[cfg(test)]
mod tests {
    use super::super::layouts::named;
    use super::*;

    #[test]
    fn times_are_parsed_as_in_go() {
        let check = |layout: &str, text: &str, expected: Option<&str>| {
            let at = parse(named(layout), text).ok().map(|at| at.to_rfc3339());
            assert_eq!(at.as_deref(), expected, "{layout} {text}");
        };
        check("2006-01-02 15:04:05 MST", "2022-08-08 22:07:39 UTC", Some("2022-08-08T22:07:39+00:00"));
        check("2006-01-02 MST", "2022-08-08 GMT+3", Some("2022-08-08T00:00:00+00:00"));
        check("RFC1123", "Mon, 08 Aug 2022 22:07:39 CEST", Some("2022-08-08T22:07:39+00:00"));
        check("RFC3339", "2022-08-09T00:07:39.5+02:00", Some("2022-08-08T22:07:39.500+00:00"));
        check("ANSIC", "mon aug  8 22:07:39 2022", Some("2022-08-08T22:07:39+00:00"));
        check("3:04pm", "12:30am", Some("0000-01-01T00:30:00+00:00"));
        check("2006-002", "2020-060", Some("2020-02-29T00:00:00+00:00"));
        for wrong in [
            "2022-02-30T00:00:00Z",
            "2022-08-09t00:00:00z",
            "2022-08-09",
            "2022-08-09T24:00:00Z",
            "yesterday",
            "2022-08-09T00:00:00Z ",
        ] {
            check("RFC3339", wrong, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(layout in "([_0-9.,:Z -]|Jan|Mon|MST|PM|2006|.)*", text in "([0-9.,:Z+ -]|Jan|Mon|GMT|PM|.)*", years in "[0-9]{4}", days in "[0-9]{3}") {
            let _ = (parse(&layout, &text), parse(&layout, &layout), parse("2006 002", &format!("{years} {days}")));
            let _ = parse("2006 Z07:00", &format!("{years} -{}:{}", &days[1..], &days[1..]));
        }
    }
}
