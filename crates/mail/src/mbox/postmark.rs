//! Which lines begin a message.

use memchr::{memchr, memmem};

use super::Piece;

/// Longest postmark, in bytes with its end of line. A longer line is text.
pub const MAX_POSTMARK_BYTES: usize = 512;

pub(super) const FROM: &[u8] = b"From ";

const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
const WEEKDAYS: [&[u8]; 7] = [b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun"];

/// Where the next postmark is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// There, with its end of line.
    At(std::ops::Range<usize>),
    /// Not in these bytes. When more have come, the search goes on here, and wants to see the three
    /// bytes before.
    Beyond(usize),
}

/// The next postmark that begins at `from` or behind it: `From `, behind an empty line or at the
/// beginning of the file, on a line that ends like a date. At the beginning of the file any line with
/// `From ` is one, since nothing else begins so.
pub fn next_postmark(piece: Piece<'_>, from: usize) -> Next {
    let bytes = piece.bytes;
    if from == 0 && piece.first {
        match line_at(piece, 0) {
            Line::Open => return Next::Beyond(0),
            Line::Whole(line) if bytes.starts_with(FROM) => return Next::At(line),
            Line::Whole(_) | Line::TooLong => {}
        }
    }
    let mut at = from.max(1) - 1;
    for found in memmem::find_iter(bytes.get(at..).unwrap_or_default(), b"\nFrom ") {
        let start = from.max(1) - 1 + found + 1;
        at = start;
        if !behind_empty_line(piece, start) {
            continue;
        }
        match line_at(piece, start) {
            Line::Open => return Next::Beyond(start),
            Line::Whole(line) if is_postmark(&bytes[line.clone()]) => return Next::At(line),
            Line::Whole(_) | Line::TooLong => {}
        }
    }
    // The last bytes may be the beginning of a `From `.
    Next::Beyond(bytes.len().saturating_sub(FROM.len() - 1).max(at).max(from).min(bytes.len().max(from)))
}

/// Whether the line before the one at `start` is empty, or is none.
fn behind_empty_line(piece: Piece<'_>, start: usize) -> bool {
    let before = &piece.bytes[..start];
    let Some(rest) = before.strip_suffix(b"\n") else { return start == 0 && piece.first };
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    rest.ends_with(b"\n") || (rest.is_empty() && piece.first)
}

enum Line {
    Whole(std::ops::Range<usize>),
    /// It may go on in bytes that are not here.
    Open,
    TooLong,
}

fn line_at(piece: Piece<'_>, start: usize) -> Line {
    let rest = &piece.bytes[start..];
    let window = &rest[..rest.len().min(MAX_POSTMARK_BYTES)];
    match memchr(b'\n', window) {
        Some(lf) => Line::Whole(start..start + lf + 1),
        None if window.len() == MAX_POSTMARK_BYTES => Line::TooLong,
        None if piece.last => Line::Whole(start..piece.bytes.len()),
        None => Line::Open,
    }
}

/// Whether `line` is `From `, anything, and a date as its end: month, day, year and time in any order,
/// or an ISO date; with or without weekday, seconds, zone, and UUCP's `remote from HOST`. Nothing else
/// may stand among them, so a sentence that names a day is no postmark.
pub fn is_postmark(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(FROM) else { return false };
    if line.len() > MAX_POSTMARK_BYTES {
        return false;
    }
    let mut seen = Seen::default();
    for word in words_from_behind(without_remote(rest)) {
        if !seen.take(word) {
            break;
        }
        if seen.is_date() {
            return true;
        }
    }
    false
}

fn words_from_behind(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.rsplit(|b| b.is_ascii_whitespace() || *b == b',').filter(|word| !word.is_empty())
}

/// Cuts off `remote from HOST` (RFC 976 §2.4).
fn without_remote(text: &[u8]) -> &[u8] {
    let mut words = words_from_behind(text);
    let _host = words.next();
    if words.next() == Some(b"from") && words.next() == Some(b"remote") {
        let at = memmem::rfind(text, b"remote").unwrap_or(text.len());
        return &text[..at];
    }
    text
}

/// What of a date was seen.
#[derive(Default)]
struct Seen {
    times: u8,
    months: u8,
    /// Day and year: which is which does not matter.
    numbers: u8,
    weekdays: u8,
    zones: u8,
}

impl Seen {
    fn is_date(&self) -> bool {
        self.times == 1 && self.months == 1 && self.numbers == 2
    }

    /// False if `word` cannot stand in a date beside the others.
    fn take(&mut self, word: &[u8]) -> bool {
        let (count, most) = match word {
            _ if is_time(word) => (&mut self.times, 1),
            _ if (1..=2).contains(&word.len()) && digits(word) => (&mut self.numbers, 2),
            _ if word.len() == 4 && digits(word) => (&mut self.numbers, 2),
            _ if is_one_of(word, &MONTHS) => (&mut self.months, 1),
            _ if is_one_of(word, &WEEKDAYS) => (&mut self.weekdays, 1),
            _ if is_zone(word) => (&mut self.zones, 3),
            _ => return self.take_joined(word),
        };
        *count += 1;
        *count <= most
    }

    /// `2026-11-29`, `2026-11-29T23:00:00Z`, `29-Nov-2026`.
    fn take_joined(&mut self, word: &[u8]) -> bool {
        let (day, time) = match memchr(b'T', word) {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        let parts: [&[u8]; 3] = {
            let mut parts = day.splitn(3, |b| *b == b'-');
            std::array::from_fn(|_| parts.next().unwrap_or_default())
        };
        let iso = parts[0].len() == 4 && parts.iter().all(|part| digits(part));
        let named = digits(parts[0]) && is_one_of(parts[1], &MONTHS) && digits(parts[2]);
        if !(iso || named) || self.months + self.numbers > 0 {
            return false;
        }
        (self.months, self.numbers) = (1, 2);
        let Some(time) = time else { return true };
        self.times += 1;
        let end = time.iter().position(|b| !(b.is_ascii_digit() || matches!(b, b':' | b'.')));
        self.times == 1 && is_time(&time[..end.unwrap_or(time.len())])
    }
}

fn digits(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_digit)
}

fn is_one_of(word: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// `23:00`, `7:05:59`, `23:00:00.125`.
fn is_time(word: &[u8]) -> bool {
    let mut parts = word.split(|b| *b == b':');
    let (hour, minute, second) = (parts.next(), parts.next(), parts.next());
    let whole = |part: Option<&[u8]>| part.is_some_and(|p| p.len() <= 2 && digits(p));
    let fraction =
        |part: &[u8]| part.len() >= 2 && digits(&part[..2]) && (part.len() == 2 || part[2] == b'.');
    whole(hour) && whole(minute) && second.is_none_or(fraction) && parts.next().is_none()
}

/// `+0100`, `-01:00`, `GMT`, `DST`, `(CET)`.
fn is_zone(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"(").and_then(|w| w.strip_suffix(b")")).unwrap_or(word);
    match word {
        [b'+' | b'-', rest @ ..] => (2..=5).contains(&rest.len()) && rest[0].is_ascii_digit(),
        _ => (1..=5).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase),
    }
}
