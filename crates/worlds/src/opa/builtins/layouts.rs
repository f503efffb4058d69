//! Formats times by Go's layouts, which are examples such as `Mon Jan _2 15:04:05 2006`. Times are UTC.
//! [`layouts_read`](super::layouts_read) parses them.

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};

pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The layout of a name, or else the layout itself.
pub fn named(layout: &str) -> &str {
    match layout {
        "ANSIC" => "Mon Jan _2 15:04:05 2006",
        "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
        "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
        "RFC822" => "02 Jan 06 15:04 MST",
        "RFC822Z" => "02 Jan 06 15:04 -0700",
        "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
        "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
        "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
        "RFC3339" => "2006-01-02T15:04:05Z07:00",
        "RFC3339Nano" => "2006-01-02T15:04:05.999999999Z07:00",
        other => other,
    }
}

/// An element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    /// AM or PM, in capitals if true.
    Noon(bool),
    Zone,
    Offset(Offset),
    /// The number of digits, the separator before them, and whether trailing zeros stay.
    Fraction(usize, char, bool),
}

/// How an offset from UTC is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// `Z` for no offset.
    pub z: bool,
    pub minutes: bool,
    pub seconds: bool,
    pub colon: bool,
}

/// The fixed elements; of those with a common prefix, the longer one comes first.
const PARTS: [(&str, Part); 23] = [
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongWeekDay),
    ("Mon", Part::WeekDay),
    ("MST", Part::Zone),
    ("01", Part::ZeroMonth),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("002", Part::ZeroYearDay),
    ("15", Part::Hour),
    ("1", Part::NumMonth),
    ("2006", Part::LongYear),
    ("2", Part::Day),
    ("__2", Part::UnderYearDay),
    ("_2", Part::UnderDay),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::Noon(true)),
    ("pm", Part::Noon(false)),
];

/// The element that a layout starts with, and its length.
fn part(layout: &str) -> Option<(Part, usize)> {
    let first = layout.chars().next()?;
    if matches!(first, '.' | ',') {
        let digit = layout[1..].chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
        let after = layout[1..].trim_start_matches(digit);
        let digits = layout.len() - 1 - after.len();
        let is_last = !after.starts_with(|letter: char| letter.is_ascii_digit());
        return is_last.then_some((Part::Fraction(digits, first, digit == '0'), 1 + digits));
    }
    if let Some(offset) = layout.strip_prefix(['Z', '-']).filter(|offset| offset.starts_with("07")) {
        let forms =
            [("070000", true, true, false), ("07:00:00", true, true, true), ("0700", true, false, false)];
        let more = [("07:00", true, false, true), ("07", false, false, false)];
        let form = forms.into_iter().chain(more).find(|(form, ..)| offset.starts_with(form));
        let (form, minutes, seconds, colon) = form?;
        return Some((Part::Offset(Offset { z: first == 'Z', minutes, seconds, colon }), 1 + form.len()));
    }
    let (text, part) = PARTS.iter().find(|(text, part)| {
        let after = layout.strip_prefix(text);
        let is_word =
            after.is_some_and(|after| after.starts_with(|letter: char| letter.is_ascii_lowercase()));
        after.is_some() && !(is_word && matches!(part, Part::Month | Part::WeekDay))
    })?;
    // `_2006` is an underscore and a year, not a day.
    let is_year = *part == Part::UnderDay && layout[1..].starts_with("2006");
    (!is_year).then_some((*part, text.len()))
}

/// The text of a layout before its first element, the element, and the rest.
pub fn next(layout: &str) -> (&str, Option<Part>, &str) {
    for (at, _) in layout.char_indices() {
        if let Some((part, length)) = part(&layout[at..]) {
            return (&layout[..at], Some(part), &layout[at + length..]);
        }
    }
    (layout, None, "")
}

/// Go's `Time.Format`.
pub fn format(at: &DateTime<Utc>, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let (before, Some(part), after) = next(rest) {
        out.push_str(before);
        out.push_str(&shown(at, part));
        rest = after;
    }
    out + rest
}

fn shown(at: &DateTime<Utc>, part: Part) -> String {
    let month = MONTHS[at.month0() as usize % MONTHS.len()];
    let day = DAYS[at.weekday().num_days_from_sunday() as usize % DAYS.len()];
    let (_, hour12) = at.hour12();
    match part {
        Part::LongMonth => month.to_owned(),
        Part::Month => month[..3].to_owned(),
        Part::NumMonth => at.month().to_string(),
        Part::ZeroMonth => format!("{:02}", at.month()),
        Part::LongWeekDay => day.to_owned(),
        Part::WeekDay => day[..3].to_owned(),
        Part::Day => at.day().to_string(),
        Part::UnderDay => format!("{:2}", at.day()),
        Part::ZeroDay => format!("{:02}", at.day()),
        Part::UnderYearDay => format!("{:3}", at.ordinal()),
        Part::ZeroYearDay => format!("{:03}", at.ordinal()),
        Part::Hour => format!("{:02}", at.hour()),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => at.minute().to_string(),
        Part::ZeroMinute => format!("{:02}", at.minute()),
        Part::Second => at.second().to_string(),
        Part::ZeroSecond => format!("{:02}", at.second()),
        Part::LongYear => format!("{:04}", at.year()),
        Part::Year => format!("{:02}", at.year().rem_euclid(100)),
        Part::Noon(capital) => match (at.hour() < 12, capital) {
            (true, true) => "AM".to_owned(),
            (false, true) => "PM".to_owned(),
            (true, false) => "am".to_owned(),
            (false, false) => "pm".to_owned(),
        },
        Part::Zone => "UTC".to_owned(),
        Part::Offset(Offset { z: true, .. }) => "Z".to_owned(),
        Part::Offset(Offset { minutes, seconds, colon, .. }) => {
            let more = if colon { ":00" } else { "00" };
            format!("+00{}", more.repeat(usize::from(minutes) + usize::from(seconds)))
        }
        Part::Fraction(digits, separator, zeros) => {
            let nanoseconds = format!("{:09}", at.nanosecond());
            let fraction = &nanoseconds[..digits.min(9)];
            match if zeros { fraction } else { fraction.trim_end_matches('0') } {
                "" => String::new(),
                fraction => format!("{separator}{fraction}"),
            }
        }
    }
}

/// The number of days of a month.
pub fn days_in(year: i32, month: u32) -> u32 {
    (28..=31).rev().find(|day| NaiveDate::from_ymd_opt(year, month, *day).is_some()).unwrap_or(31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_as_in_go() {
        let at = DateTime::from_timestamp_nanos(1_659_996_459_131_330_001);
        let check =
            |layout: &str, expected: &str| assert_eq!(format(&at, named(layout)), expected, "{layout}");
        check("RFC3339Nano", "2022-08-08T22:07:39.131330001Z");
        check("RFC1123Z", "Mon, 08 Aug 2022 22:07:39 +0000");
        check("RFC850", "Monday, 08-Aug-22 22:07:39 UTC");
        check("Mon Jan _2 3:04PM 2006", "Mon Aug  8 10:07PM 2022");
        check("_2006 __2 002 Janus 1.000,99 -07:00:00 Z0700", "_2022 220 220 Janus 8.131,13 +00:00:00 Z");
        check("é", "é");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(ns: i64, layout in "([_0-9.,:Z -]|Jan|Mon|MST|PM|2006|.)*") {
            let _ = format(&DateTime::from_timestamp_nanos(ns), &layout);
        }
    }
}
