//! What terminal and page say alike: numbers, times, and what a server does, in plain words.

use jiff::Timestamp;
use quell_storm::facts::Ms;
use quell_storm::storm::{Culprit, CulpritClass};
use quell_storm::trace::report::{Finding, Group};

/// What comes faster than this has no rhythm: it came at once.
const MIN_RHYTHM: Ms = 2_000;

/// The letter of a culprit, by its place in the group: `A`, `B`, … `Z`, `A2`.
pub fn letter(index: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(index % 26).unwrap_or_default());
    match index / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{}", round + 1),
    }
}

/// What to call a server: its name, else its address.
pub fn name(culprit: &Culprit) -> String {
    match (&culprit.host, culprit.ip) {
        (Some(host), _) if !host.trim().is_empty() => host.clone(),
        (_, Some(ip)) => ip.to_string(),
        _ => "a server without a name".to_owned(),
    }
}

/// Its name with its address.
pub fn name_and_address(culprit: &Culprit) -> String {
    let name = name(culprit);
    match culprit.ip {
        Some(ip) if ip.to_string() != name => format!("{name} ({ip})"),
        _ => name,
    }
}

/// What a server does, as the rest of a sentence.
pub fn does(class: Option<CulpritClass>) -> &'static str {
    match class {
        Some(CulpritClass::Resends) => "sends the same message again and again",
        Some(CulpritClass::Retries) => "sends again what it gets no timely answer for",
        Some(CulpritClass::Injects) => "hands the same message in again as if it were new",
        Some(CulpritClass::Loops) => "sends the message round in a circle",
        None => "makes copies in a way that could not be told",
    }
}

/// The same in two or three words, for a picture.
pub fn does_in_short(class: Option<CulpritClass>) -> &'static str {
    match class {
        Some(CulpritClass::Resends) | None => "makes copies",
        Some(CulpritClass::Retries) => "sends it again",
        Some(CulpritClass::Injects) => "hands it in again",
        Some(CulpritClass::Loops) => "sends it round",
    }
}

/// How sure, in words.
pub fn sure(permille: u16) -> &'static str {
    match permille {
        950.. => "practically certain",
        800..950 => "very likely",
        600..800 => "likely",
        300..600 => "possible",
        _ => "only a guess",
    }
}

/// How sure, in words and per cent.
pub fn how_sure(culprit: &Culprit) -> Option<String> {
    culprit.confidence_permille.map(|sure_by| format!("{} ({})", sure(sure_by), percent(sure_by)))
}

/// Thousandths as per cent; more than all is all.
pub fn percent(permille: u16) -> String {
    let permille = permille.min(1_000);
    match permille % 10 {
        0 => format!("{}%", permille / 10),
        tenth => format!("{}.{tenth}%", permille / 10),
    }
}

/// A number with commas.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// A moment to the second in a table: `2005-12-10 09:12:11`, UTC.
pub fn stamp_time(ms: Ms) -> String {
    format_ms(ms, "%Y-%m-%d %H:%M:%S")
}

/// A moment to the minute in a sentence: `10 Dec 2005, 09:12`, UTC.
pub fn moment(ms: Ms) -> String {
    format_ms(ms, "%-d %b %Y, %H:%M")
}

/// `ms` since 1970 as `format` says; a time no calendar holds is a question mark.
pub fn format_ms(ms: Ms, format: &str) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime(format).to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// From when to when: the day only once if it is the same.
pub fn from_to(first: Option<Ms>, last: Option<Ms>) -> Option<String> {
    let (first, last) = (first.or(last)?, last.or(first)?);
    let (a, b) = (moment(first), moment(last));
    if a == b {
        return Some(format!("{a} UTC"));
    }
    let day = |ms| format_ms(ms, "%Y-%m-%d");
    let b = if day(first) == day(last) { format_ms(last, "%H:%M") } else { b };
    Some(format!("{a} – {b} UTC"))
}

/// A rhythm: `about every 15 minutes`. What comes at once has none.
pub fn every(ms: Ms) -> Option<String> {
    (ms >= MIN_RHYTHM).then(|| format!("about every {}", how_long(ms)))
}

/// A duration in its largest fitting unit: `4 seconds`, `15 minutes`, `3 hours`, `2 days`.
pub fn how_long(ms: Ms) -> String {
    let secs = ms.max(0).saturating_add(500) / 1_000;
    let (n, one, many) = match secs {
        0 => return "less than a second".to_owned(),
        1..120 => (secs, "second", "seconds"),
        120..7_200 => ((secs + 30) / 60, "minute", "minutes"),
        7_200..172_800 => ((secs + 1_800) / 3_600, "hour", "hours"),
        _ => (secs.saturating_add(43_200) / 86_400, "day", "days"),
    };
    if n == 1 { one.to_owned() } else { counted(n.unsigned_abs(), one, many) }
}

/// The finding in a few words.
pub fn finding(group: &Group) -> String {
    match (group.finding, group.culprits.len()) {
        (Finding::Culprit, 0 | 1) => "one server makes copies".to_owned(),
        (Finding::Culprit, n) => format!("{n} servers make copies"),
        (Finding::Retry, _) => "sent again: the answer was late or lost".to_owned(),
        (Finding::Loop, _) => "goes round in a circle".to_owned(),
        (Finding::List, _) => "one copy each: nothing is wrong".to_owned(),
        (Finding::NoCulprit, _) => "every copy has a good reason".to_owned(),
        (Finding::CannotTell, _) => "copies, and nothing that says who made them".to_owned(),
    }
}

/// True where nothing is wrong and nothing is open.
pub fn is_innocent(group: &Group) -> bool {
    group.culprits.is_empty() && matches!(group.finding, Finding::List | Finding::NoCulprit)
}

/// Groups with something to say first, then open questions, then innocent ones; else as they stand.
pub fn in_order(groups: &[Group]) -> Vec<&Group> {
    let rank = |group: &&Group| match group {
        group if is_innocent(group) => 2,
        group if group.culprits.is_empty() && group.finding == Finding::CannotTell => 1,
        _ => 0,
    };
    let mut ordered: Vec<_> = groups.iter().collect();
    ordered.sort_by_key(rank);
    ordered
}

/// `46 of 48 messages, 95.8% of all surplus copies`; what is not known is left out. The share is one of the
/// copies beyond the first for each recipient, which are fewer than the messages.
pub fn part(culprit: &Culprit, all: u64) -> Option<String> {
    let share = culprit.share_permille.map(|share| format!("{} of all surplus copies", percent(share)));
    let count = culprit.copies.map(|n| format!("{} of {} messages", number(n), number(all)));
    match (count, share) {
        (Some(count), Some(share)) => Some(format!("{count}, {share}")),
        (count, share) => count.or(share),
    }
}

/// Names in a sentence: `a`, `a and b`, `a, b and c`.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!(
            [number(0), number(999), number(1_000), number(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([percent(990), percent(143), percent(u16::MAX)], ["99%", "14.3%", "100%"]);
        assert_eq!([letter(0), letter(25), letter(26)], ["A", "Z", "A2"]);
        assert_eq!(every(900_000).unwrap(), "about every 15 minutes");
        assert_eq!(every(1_000), None);
        assert_eq!(
            [how_long(0), how_long(90_000), how_long(7_200_000)],
            ["less than a second", "90 seconds", "2 hours"]
        );
        let at = 1_134_205_931_000;
        assert_eq!(stamp_time(at), "2005-12-10 09:12:11");
        assert_eq!(from_to(Some(at), Some(at + 3_600_000)).unwrap(), "10 Dec 2005, 09:12 – 10:12 UTC");
        assert_eq!(from_to(Some(at), None).unwrap(), "10 Dec 2005, 09:12 UTC");
        assert_eq!(listed(&["a", "b", "c"].map(str::to_owned)), "a, b and c");
    }

    proptest! {
        #[test]
        fn no_number_is_too_strange(ms in any::<i64>(), n in any::<u64>(), permille in any::<u16>()) {
            prop_assert!(!from_to(Some(ms), Some(0)).unwrap().is_empty());
            prop_assert_eq!(every(ms).is_some(), ms >= MIN_RHYTHM);
            prop_assert!(!how_long(ms).is_empty() && !number(n).is_empty());
            prop_assert!(percent(permille).ends_with('%'));
        }
    }
}
