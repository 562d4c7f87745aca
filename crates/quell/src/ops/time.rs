//! Times as people type them.

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use quell_storm::facts::Ms;

/// Units of an age, in milliseconds.
const UNITS: [(char, Ms); 5] =
    [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000), ('w', 7 * 86_400_000)];
/// Longest text looked at.
const MAX_BYTES: usize = 64;

/// The time that `text` means, in milliseconds since 1970: RFC 3339 (`2026-11-21T08:00:00Z`), a
/// date (its beginning in UTC), or an age before `now` (`45s`, `90m`, `3h`, `2d`, `1w`).
///
/// # Errors
/// In words, what may be written.
pub fn parse_when(text: &str, now: Ms) -> Result<Ms, String> {
    let known = text.len() <= MAX_BYTES;
    known.then(|| age(text, now).or_else(|| moment(text)).or_else(|| day(text))).flatten().ok_or_else(|| {
        let shown: String = text.chars().take(MAX_BYTES).collect();
        format!("`{shown}` is no time: write an age (`3h`, `2d`), a date (`2026-11-21`, UTC) or `2026-11-21T08:00:00Z`")
    })
}

fn age(text: &str, now: Ms) -> Option<Ms> {
    let unit = text.chars().last()?;
    let (_, ms) = UNITS.iter().find(|(c, _)| *c == unit)?;
    let digits = text.strip_suffix(unit)?;
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let n: Ms = all_digits.then(|| digits.parse().ok()).flatten()?;
    now.checked_sub(n.checked_mul(*ms)?)
}

fn moment(text: &str) -> Option<Ms> {
    Some(text.parse::<Timestamp>().ok()?.as_millisecond())
}

fn day(text: &str) -> Option<Ms> {
    let whole = text.len() == 10;
    let date: Date = whole.then(|| text.parse().ok()).flatten()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// A duration for people: its two largest units. `0 s` below a second.
pub fn age_text(ms: Ms) -> String {
    let secs = ms.max(0) / 1_000;
    let (d, h, m, s) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, m) => format!("{m}m{s:02}s"),
        (0, h, m) => format!("{h}h{m:02}m"),
        (d, h, _) => format!("{d}d{h:02}h"),
    }
}

/// A size for people.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Ms = 1_795_000_000_000;

    #[test]
    fn reads_ages_dates_and_moments() {
        let hour = 3_600_000;
        for (text, ms) in [
            ("3h", NOW - 3 * hour),
            ("2d", NOW - 48 * hour),
            ("90m", NOW - hour * 3 / 2),
            ("0s", NOW),
            ("1w", NOW - 168 * hour),
            ("1970-01-02", 24 * hour),
            ("1970-01-01T01:00:00Z", hour),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1970-01-01T00:00:00.5Z", 500),
        ] {
            assert_eq!(parse_when(text, NOW), Ok(ms), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "h", "-3h", "+3h", "3 h", "3x", "yesterday", "2026-13-01", "2026-11-21T08:00", "٣h"]
        {
            assert!(parse_when(text, NOW).is_err(), "{text}");
        }
        assert!(parse_when("99999999999999999999w", NOW).is_err());
        assert!(parse_when(&"9".repeat(1000), NOW).unwrap_err().len() < 250);
    }

    #[test]
    fn says_ages_and_sizes() {
        let age = [0, 59_999, 61_000, 3_600_000, 90_000_000].map(age_text);
        assert_eq!(age, ["0s", "59s", "1m01s", "1h00m", "1d01h"]);
        let size = [0, 1023, 1024, 1_048_575, 1_048_576, u64::MAX].map(size_text);
        assert_eq!(size, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 MiB", "16384.0 PiB"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, now: i64) {
            let _ = parse_when(&text, now);
        }

        #[test]
        fn moments_are_read_as_written(ms in -62_135_596_800_000i64..253_402_300_799_999) {
            prop_assert_eq!(parse_when(&quell_storm::storm::rfc3339(ms), NOW), Ok(ms));
        }

        #[test]
        fn ages_are_short(ms: i64, bytes: u64) {
            prop_assert!(age_text(ms).len() <= 16);
            prop_assert!(size_text(bytes).len() < 12);
        }
    }
}
