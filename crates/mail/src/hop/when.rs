//! Dates as servers write them into a stamp: those of RFC 5322, of ctime(3) and of ISO 8601, with
//! whatever stands behind them left to the caller.

use super::lexer::is_space;

const DAY_SECS: i64 = 86_400;

/// The date at the beginning of `bytes`, in milliseconds since 1970, and how many bytes it takes,
/// its zone included. A zone that is missing, unknown or impossible counts as UTC (RFC 5322 §4.3).
/// Looks at no more than the date and the white space in it.
pub(super) fn read(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut scan = Scan { bytes, at: 0 };
    scan.space();
    let mut first = scan.letters();
    if is_weekday(first) {
        scan.space();
        first = scan.letters();
    }
    let ms = match first {
        b"" => scan.day_first()?,
        month => scan.month_first(month_number(month)?)?,
    };
    Some((ms, scan.at))
}

/// Whether a word is the name of a day, in short or in full, a comma behind it or not.
pub(super) fn is_weekday(word: &[u8]) -> bool {
    let word = word.strip_suffix(b",").unwrap_or(word);
    let [a, b, c, rest @ ..] = word else { return false };
    let short = [a | 32, b | 32, c | 32];
    matches!(&short, b"mon" | b"tue" | b"wed" | b"thu" | b"fri" | b"sat" | b"sun")
        && (rest.is_empty() || rest.to_ascii_lowercase_ends_with(b"day"))
}

trait EndsWith {
    fn to_ascii_lowercase_ends_with(&self, end: &[u8]) -> bool;
}

impl EndsWith for [u8] {
    fn to_ascii_lowercase_ends_with(&self, end: &[u8]) -> bool {
        self.len() >= end.len() && self[self.len() - end.len()..].eq_ignore_ascii_case(end)
    }
}

fn month_number(name: &[u8]) -> Option<i64> {
    let [a, b, c, rest @ ..] = name else { return None };
    let month = match &[a | 32, b | 32, c | 32] {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    };
    (rest.len() <= 6).then_some(month)
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// White space and commas, which stand where they like.
    fn space(&mut self) {
        while self.peek().is_some_and(|b| is_space(b) || b == b',') {
            self.at += 1;
        }
    }

    fn letters(&mut self) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphabetic()) {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    /// A number of one to four digits, and how many they are.
    fn number(&mut self) -> Option<(i64, usize)> {
        let (start, mut number) = (self.at, 0);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number * 10 + i64::from(digit - b'0');
            self.at += 1;
            if self.at - start > 4 {
                return None;
            }
        }
        (self.at > start).then_some((number, self.at - start))
    }

    fn optional(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    /// What divides day, month and year: white space, or a hyphen as in `14-Mar-2003`.
    fn divider(&mut self) {
        self.space();
        self.optional(b'-');
        self.space();
    }

    /// `14 Mar 2003 07:24:34 -0000`, `2003-03-14T07:24:34Z`.
    fn day_first(&mut self) -> Option<i64> {
        let (first, digits) = self.number()?;
        if digits == 4 {
            return self.iso(first);
        }
        self.divider();
        let month = month_number(self.letters())?;
        self.divider();
        let year = full_year(self.number()?)?;
        let days = days_of(year, month, first)?;
        self.space();
        let time_ms = self.time_ms()?;
        Some(days * DAY_SECS * 1_000 + time_ms - self.zone_secs() * 1_000)
    }

    fn iso(&mut self, year: i64) -> Option<i64> {
        self.optional(b'-').then_some(())?;
        let (month, _) = self.number()?;
        self.optional(b'-').then_some(())?;
        let (day, _) = self.number()?;
        let days = days_of(full_year((year, 4))?, month, day)?;
        if !self.optional(b'T') {
            self.space();
        }
        let time_ms = self.time_ms()?;
        Some(days * DAY_SECS * 1_000 + time_ms - self.zone_secs() * 1_000)
    }

    /// `Sep 14 14:36:56 EDT 2018`, `Feb 07 10:18:12 2003 -0800`, `Feb 7 2003 10:18:12`.
    fn month_first(&mut self, month: i64) -> Option<i64> {
        self.space();
        let (day, _) = self.number()?;
        self.space();
        let before_time = self.at;
        let (mut year, mut zone) = (None, 0);
        if let Some(number @ (_, 4)) = self.number() {
            year = Some(number);
        } else {
            self.at = before_time;
        }
        self.space();
        let time_ms = self.time_ms()?;
        if year.is_none() {
            self.space();
            if self.peek()?.is_ascii_alphabetic() {
                zone = self.zone_secs();
                self.space();
            }
            year = Some(self.number().filter(|(_, digits)| *digits == 4)?);
        }
        let days = days_of(full_year(year?)?, month, day)?;
        if zone == 0 {
            zone = self.zone_secs();
        }
        Some(days * DAY_SECS * 1_000 + time_ms - zone * 1_000)
    }

    /// hour ":" minute [":" second ["." fraction]], and AM or PM; 60 seconds are a leap second.
    fn time_ms(&mut self) -> Option<i64> {
        let (mut hour, _) = self.number()?;
        self.optional(b':').then_some(())?;
        let (minute, _) = self.number()?;
        let (second, fraction_ms) =
            if self.optional(b':') { (self.number()?.0, self.fraction_ms()) } else { (0, 0) };
        let after = self.at;
        self.space();
        match self.letters() {
            name if name.eq_ignore_ascii_case(b"pm") && hour < 12 => hour += 12,
            name if name.eq_ignore_ascii_case(b"am") && hour == 12 => hour = 0,
            name if name.eq_ignore_ascii_case(b"am") || name.eq_ignore_ascii_case(b"pm") => {}
            _ => self.at = after,
        }
        let fits = hour < 24 && minute < 60 && second <= 60;
        fits.then_some((hour * 3_600 + minute * 60 + second) * 1_000 + fraction_ms)
    }

    fn fraction_ms(&mut self) -> i64 {
        if !(self.peek() == Some(b'.') && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit)) {
            return 0;
        }
        self.at += 1;
        let (mut ms, mut worth) = (0, 100);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            ms += i64::from(digit - b'0') * worth;
            worth /= 10;
            self.at += 1;
        }
        ms
    }

    /// The zone's distance from UTC in seconds; what is none is left standing.
    fn zone_secs(&mut self) -> i64 {
        let before = self.at;
        self.space();
        let secs = match self.peek() {
            Some(b'+' | b'-') => self.offset_secs(),
            Some(byte) if byte.is_ascii_alphabetic() => return self.named_secs(before),
            _ => None,
        };
        let Some(secs) = secs else {
            self.at = before;
            return 0;
        };
        // `-0800 PST`: the number says it already.
        let after = self.at;
        self.space();
        if zone_hours_x10(self.letters()).is_none() || self.is_within_text() {
            self.at = after;
        }
        secs
    }

    fn named_secs(&mut self, before: usize) -> i64 {
        let Some(tenths) = zone_hours_x10(self.letters()).filter(|_| !self.is_within_text()) else {
            self.at = before;
            return 0;
        };
        let after = self.at;
        if tenths == 0 && matches!(self.peek(), Some(b'+' | b'-')) {
            if let Some(secs) = self.offset_secs() {
                return secs;
            }
            self.at = after;
        }
        tenths * 360
    }

    /// Whether the letters just read are the beginning of a longer word.
    fn is_within_text(&self) -> bool {
        self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'@')
    }

    /// `+0100`, `-07:00`, `+1`; hours beyond 15 or minutes beyond 59 are no zone on earth: 0.
    fn offset_secs(&mut self) -> Option<i64> {
        let sign = if self.peek() == Some(b'-') { -1 } else { 1 };
        self.at += 1;
        let (number, digits) = self.number()?;
        let (hours, minutes) = match digits {
            1 | 2 if self.optional(b':') => (number, self.number()?.0),
            1 | 2 => (number, 0),
            _ => (number / 100, number % 100),
        };
        Some(if hours < 16 && minutes < 60 { sign * (hours * 3_600 + minutes * 60) } else { 0 })
    }
}

/// RFC 5322 §4.3: two digits are 1950 to 2049, three count from 1900.
fn full_year((year, digits): (i64, usize)) -> Option<i64> {
    match (digits, year) {
        (2, 0..50) => Some(year + 2000),
        (2 | 3, _) => Some(year + 1900),
        (4, 1900..) => Some(year),
        _ => None,
    }
}

/// Days since 1970 of a date of the Gregorian calendar; None: there is no such day.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    const BEFORE_MONTH: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let leap = i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let index = usize::try_from(month).ok().filter(|m| (1..=12).contains(m))?;
    let length = BEFORE_MONTH[index] - BEFORE_MONTH[index - 1] + if month == 2 { leap } else { 0 };
    (1..=length).contains(&day).then_some(())?;
    let past = year - 1;
    let leaps_before = past / 4 - past / 100 + past / 400 - 477;
    let this_leap = if month > 2 { leap } else { 0 };
    Some((year - 1970) * 365 + leaps_before + BEFORE_MONTH[index - 1] + this_leap + day - 1)
}

/// A named zone in tenths of hours from UTC: those of RFC 5322 §4.3, and others that mean one
/// thing only. Further names in capitals count as UTC. None: the word is no zone.
fn zone_hours_x10(name: &[u8]) -> Option<i64> {
    let hours_x10 = match name {
        b"UTC" | b"GMT" | b"UT" | b"Z" | b"WET" => 0,
        b"PST" => -80,
        b"MST" | b"PDT" => -70,
        b"CST" | b"MDT" => -60,
        b"EST" | b"CDT" => -50,
        b"EDT" => -40,
        b"HST" => -100,
        b"AKST" => -90,
        b"AKDT" => -80,
        b"CET" | b"MET" | b"MEZ" | b"WEST" | b"BST" => 10,
        b"CEST" | b"MEST" | b"MESZ" | b"EET" => 20,
        b"EEST" | b"MSK" => 30,
        b"HKT" => 80,
        b"JST" | b"KST" => 90,
        b"AEST" => 100,
        b"AEDT" => 110,
        b"NZST" => 120,
        b"NZDT" => 130,
        b"FROM" | b"BY" | b"FOR" | b"ID" | b"WITH" | b"VIA" => return None,
        _ if matches!(name.len(), 1..=5) && name.iter().all(u8::is_ascii_uppercase) => 0,
        _ if name.eq_ignore_ascii_case(b"gmt") || name.eq_ignore_ascii_case(b"utc") => 0,
        _ => return None,
    };
    Some(hours_x10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date;
    use proptest::prelude::*;

    fn ms(text: &str) -> Option<i64> {
        read(text.as_bytes()).map(|(ms, _)| ms)
    }

    #[test]
    fn forms() {
        let wanted = Some(1_047_626_674_000); // Fri, 14 Mar 2003 07:24:34 UTC
        for text in [
            "Fri, 14 Mar 2003 07:24:34 +0000",
            "Friday, 14 March 2003 07:24:34 GMT",
            "fri 14 MAR 03 07:24:34 UT",
            "14 Mar 2003 07:24:34",
            "14-Mar-2003 07:24:34 -0000",
            "Fri Mar 14 07:24:34 2003",
            "Fri Mar 14 07:24:34 GMT 2003",
            "Fri Mar 14 03:24:34 EDT 2003",
            "Thu Mar 13 23:24:34 2003 -0800",
            "Mar 14, 2003 7:24:34 AM",
            "2003-03-14T07:24:34Z",
            "2003-03-14 08:24:34+01:00",
            "Fri, 14 Mar 2003 08:24:34 CET",
            "Fri, 14 Mar 2003 08:24:34 +1",
            "Fri, 14 Mar 2003 08:24:34 GMT+0100",
            "Thu, 13 Mar 2003 23:24:34 -0800 PST",
            "Fri,\r\n\t14 Mar 2003\r\n 07:24:34 -9999",
            "Fri, 14 Mar 103 07:24:34 XYZ",
        ] {
            assert_eq!(ms(text), wanted, "{text}");
        }
        assert_eq!(ms("14 Mar 2003 07:24:34.516 +0000"), Some(1_047_626_674_516));
        assert_eq!(ms("14 Mar 2003 07:24 +0000"), Some(1_047_626_640_000));
        assert_eq!(ms("14 Mar 2003 12:24:34 PM"), ms("14 Mar 2003 12:24:34"));
    }

    #[test]
    fn what_follows_is_left() {
        for (text, rest) in [
            ("Thu, 20 Mar 03 10:06:43 +0100 for <a@b>", " for <a@b>"),
            ("Thu, 20 Mar 03 10:06:43 FOR <a@b>", " FOR <a@b>"),
            ("Thu, 20 Mar 03 10:06:43 host.example", " host.example"),
            ("Thu, 20 Mar 03 10:06:43 -0800 (PST)", " (PST)"),
        ] {
            assert_eq!(&text[read(text.as_bytes()).unwrap().1..], rest, "{text}");
        }
    }

    #[test]
    fn no_dates() {
        for text in [
            "",
            "Fri",
            "Fri, 14",
            "30 Feb 2003 00:00 GMT",
            "29 Feb 1900 00:00 GMT",
            "1 Foo 2003 00:00",
            "1 Jan 2003",
            "1 Jan 2003 24:00",
            "14:47:44 +0000",
            "5.0.2195.6713",
            "12345 Jan 2003 00:00",
            "Monty 1 Jan 2003 00:00",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
        assert!(ms("29 Feb 2000 00:00").is_some());
    }

    proptest! {
        #[test]
        fn agrees_with_the_strict_reader(secs in -2_000_000_000i64..253_370_764_800) {
            let text = date::print(secs * 1_000);
            prop_assert_eq!(read(text.as_bytes()), date::parse(text.as_bytes()).map(|ms| (ms, text.len())));
        }

        #[test]
        fn agrees_where_both_read(text in "(Mon, )?[0-9]{1,2} (Jan|Feb|December) [0-9]{2,4} [0-9]{1,2}:[0-9]{2}(:[0-9]{2})? ([+-](0[0-9]|1[0-4])[0-5][0-9]|EST|PDT|GMT)?") {
            prop_assert_eq!(ms(&text), date::parse(text.as_bytes()));
        }
    }
}
