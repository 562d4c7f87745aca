//! Dates of mail (RFC 5322 §3.3, §4.3).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::cfws::skip;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// As they are written, from Monday.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// As they are written.
const MONTH_NAMES: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Milliseconds since 1970 of a date-time, obsolete forms included: comments anywhere, years of
/// two and three digits, named zones (unknown ones count as UTC, RFC 5322 §4.3), and, as mail has
/// it, no zone at all, which counts as UTC too. The day's name is not checked. None: no date.
pub fn parse(value: &[u8]) -> Option<i64> {
    let mut scan = Scan { bytes: value, at: skip(value, 0)? };
    if scan.peek()?.is_ascii_alphabetic() {
        scan.letters()?;
        scan.optional(b',')?;
    }
    let (day, _) = scan.number()?;
    let month = MONTHS.iter().position(|m| scan.at_word(m))? + 1;
    scan.letters()?;
    let year = full_year(scan.number()?)?;
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let seconds = scan.time_of_day()?;
    let zone = scan.zone_secs()?;
    (scan.at == value.len()).then_some(())?;
    let midnight = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    Some((midnight + seconds - zone) * 1_000)
}

/// RFC 5322 §4.3: two digits are 1950 to 2049, three count from 1900.
fn full_year((year, digits): (i64, usize)) -> Option<i16> {
    let full = match (digits, year) {
        (2, 0..50) => year + 2000,
        (2 | 3, _) => year + 1900,
        (4.., 1900..) => year,
        _ => return None,
    };
    i16::try_from(full).ok()
}

/// `ms` as a date-time of mail in UTC, such as `Sat, 21 Nov 2026 23:20:44 +0000`. Outside of the
/// years that mail can write it is the nearest that can be.
pub fn print(ms: i64) -> String {
    const YEAR_9999_MS: i64 = 253_370_764_800_000;
    let at = Timestamp::from_millisecond(ms.clamp(0, YEAR_9999_MS)).unwrap_or(Timestamp::UNIX_EPOCH);
    let at = TimeZone::UTC.to_datetime(at);
    let day = WEEKDAYS[at.weekday().to_monday_zero_offset() as usize];
    let month = MONTH_NAMES[at.month() as usize - 1];
    let mut text = String::with_capacity("Sat, 21 Nov 2026 23:20:44 +0000".len());
    text += day;
    text += ", ";
    push_two(&mut text, at.day().into());
    text.extend([" ", month, " "]);
    push_two(&mut text, at.year() / 100);
    push_two(&mut text, at.year() % 100);
    for (before, number) in [(' ', at.hour()), (':', at.minute()), (':', at.second())] {
        text.push(before);
        push_two(&mut text, number.into());
    }
    text += " +0000";
    text
}

/// The two digits of a number below 100.
fn push_two(text: &mut String, number: i16) {
    text.extend([number / 10, number % 10].map(|digit| char::from(b'0' + digit as u8)));
}

/// Where the parser stands; always on a byte that is no comment and no white space.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Goes on by `len` bytes, and over what comments and white space follow.
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let start = self.at;
        self.at = skip(self.bytes, start + len)?;
        self.bytes.get(start..start + len)
    }

    fn run(&self, which: impl Fn(&u8) -> bool) -> usize {
        self.bytes[self.at..].iter().take_while(|b| which(b)).count()
    }

    fn letters(&mut self) -> Option<&[u8]> {
        let len = self.run(u8::is_ascii_alphabetic);
        (len > 0).then_some(())?;
        self.take(len)
    }

    /// A number of one to four digits, and how many there were.
    fn number(&mut self) -> Option<(i64, usize)> {
        let len = self.run(u8::is_ascii_digit);
        (1..=4).contains(&len).then_some(())?;
        let digits = self.take(len)?;
        Some((digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')), len))
    }

    /// Whether the name of a month stands here, in short or in full.
    fn at_word(&self, month: &str) -> bool {
        self.bytes[self.at..].get(..3).is_some_and(|w| w.eq_ignore_ascii_case(month.as_bytes()))
    }

    fn optional(&mut self, byte: u8) -> Option<bool> {
        let here = self.peek() == Some(byte);
        if here {
            self.take(1)?;
        }
        Some(here)
    }

    /// hour ":" minute [":" second], in seconds; 60 seconds are a leap second.
    fn time_of_day(&mut self) -> Option<i64> {
        let (hour, _) = self.number()?;
        self.optional(b':')?.then_some(())?;
        let (minute, _) = self.number()?;
        let second = if self.optional(b':')? { self.number()?.0 } else { 0 };
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3_600 + minute * 60 + second)
    }

    /// The zone's distance from UTC in seconds.
    fn zone_secs(&mut self) -> Option<i64> {
        let sign = match self.peek() {
            None => return Some(0),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return self.letters().map(named_zone_secs),
        };
        self.take(1)?;
        let (digits, len) = self.number()?;
        (len == 4 && digits % 100 < 60).then_some(sign * (digits / 100 * 3_600 + digits % 100 * 60))
    }
}

/// RFC 5322 §4.3; military letters were used both ways round and so say nothing.
fn named_zone_secs(name: &[u8]) -> i64 {
    let hours = match name.to_ascii_uppercase().as_slice() {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => 0,
    };
    hours * 3_600
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sat, 21 Nov 2026 23:20:44 UTC.
    const MS: i64 = 1_795_303_244_000;

    #[test]
    fn prints() {
        assert_eq!(print(MS), "Sat, 21 Nov 2026 23:20:44 +0000");
        assert_eq!(print(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(parse(print(i64::MAX).as_bytes()), Some(253_370_764_800_000));
        assert_eq!(print(i64::MIN), print(0));
    }

    #[test]
    fn parses() {
        for given in [
            "Sat, 21 Nov 2026 23:20:44 +0000",
            " sat , 21 NOV 2026 23:20:44 GMT\r\n",
            "21 Nov 2026 23:20:44 Z",
            "Sun, 22 Nov 2026 00:20:44 +0100 (CET)",
            "Sat, 21 Nov 2026 18:20:44 EST",
            "Sat, 21 Nov 26 15:20:44 PST",
            "Sat, 21 Nov 126 23:20:44 -0000",
            "Sat(urday), 21 (the 21st)\r\n Nov 2026 23 : 20 (x) : 44 +0000",
            "Sat, 21 Nov 2026 23:20:44",
            "Sat 21 November 2026 23:20:44 XYZ",
            "Sun, 22 Nov 2026 04:50:44 +0530",
        ] {
            assert_eq!(parse(given.as_bytes()), Some(MS), "{given}");
        }
        assert_eq!(parse(b"1 Jan 70 00:00 UT"), Some(0));
        assert_eq!(parse(b"31 Dec 2016 23:59:60 +0000"), parse(b"1 Jan 2017 00:00:00 +0000"));
        assert_eq!(parse(b"1 Jan 49 00:00 UT"), parse(b"1 Jan 2049 00:00 UT"));
        assert_eq!(parse(b"1 Jan 50 00:00 UT"), parse(b"1 Jan 1950 00:00 UT"));
    }

    #[test]
    fn refuses() {
        for given in [
            "",
            "Sat",
            "Sat,",
            "2026-11-21T23:20:44Z",
            "32 Jan 2026 00:00 UT",
            "30 Feb 2026 00:00 UT",
            "1 Foo 2026 00:00 UT",
            "1 Jan 2026",
            "1 Jan 2026 24:00 UT",
            "1 Jan 2026 00:60 UT",
            "1 Jan 2026 00:00:61 UT",
            "1 Jan 2026 00:00 +1",
            "1 Jan 2026 00:00 +0060",
            "1 Jan 2026 00:00 +0000 more",
            "1 Jan 1 00:00 UT",
            "1 Jan 99999 00:00 UT",
            "1 Jan 2026 00:00 (",
        ] {
            assert_eq!(parse(given.as_bytes()), None, "{given}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_the_calendar_says(ms in 0i64..253_370_764_800_000) {
            let at = Timestamp::from_millisecond(ms).unwrap();
            prop_assert_eq!(print(ms), at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string());
        }

        #[test]
        fn there_and_back(secs in 0i64..253_370_764_800) {
            prop_assert_eq!(parse(print(secs * 1_000).as_bytes()), Some(secs * 1_000));
        }

        #[test]
        fn never_panics(value: Vec<u8>, text in "[A-Z]?[a-z]{0,2},? ?[0-9]{0,5} (Jan|Dec) [0-9]{1,5} [0-9]{1,3}:[0-9]{1,4}:[0-9]{0,3} [+-]?[0-9]{0,5}\\(?") {
            parse(&value);
            parse(text.as_bytes());
        }
    }
}
