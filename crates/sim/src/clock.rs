//! Dates as servers print them. Written apart from `quell_mail::date`: whoever reads the worlds must not
//! share a mistake with whoever writes them.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_SECS: i64 = 86_400;

/// Milliseconds of a second, a minute, an hour and a day.
pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// What a server's clock is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zone {
    pub minutes: i64,
    pub name: &'static str,
}

/// Zones in which the world's servers stand.
pub(crate) const ZONES: [Zone; 14] = [
    Zone { minutes: 0, name: "GMT" },
    Zone { minutes: 0, name: "UTC" },
    Zone { minutes: 60, name: "BST" },
    Zone { minutes: 60, name: "CET" },
    Zone { minutes: 120, name: "CEST" },
    Zone { minutes: 120, name: "EET" },
    Zone { minutes: 180, name: "MSK" },
    Zone { minutes: -300, name: "EST" },
    Zone { minutes: -240, name: "EDT" },
    Zone { minutes: -480, name: "PST" },
    Zone { minutes: -420, name: "PDT" },
    Zone { minutes: 330, name: "IST" },
    Zone { minutes: 540, name: "JST" },
    Zone { minutes: 600, name: "AEST" },
];

/// Greenwich.
pub(crate) const UTC: Zone = ZONES[1];

struct Parts {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
}

/// Days since 1970 in the Gregorian calendar, counted from 1 March so that the leap day comes last.
fn civil(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(month < 2);
    (year, usize::try_from(month).unwrap_or(0), day)
}

fn parts(ms: i64, zone: Zone) -> Parts {
    let secs = ms.div_euclid(1_000) + zone.minutes * 60;
    let (days, rest) = (secs.div_euclid(DAY_SECS), secs.rem_euclid(DAY_SECS));
    let (year, month, day) = civil(days);
    Parts {
        year,
        month,
        day,
        weekday: usize::try_from(days.rem_euclid(7)).unwrap_or(0),
        hour: rest / 3_600,
        minute: rest / 60 % 60,
        second: rest % 60,
    }
}

fn offset(zone: Zone) -> String {
    let sign = if zone.minutes < 0 { '-' } else { '+' };
    let minutes = zone.minutes.abs();
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

/// `Sat, 10 Dec 2005 14:03:21 +0000`.
pub(crate) fn plain(ms: i64, zone: Zone) -> String {
    let p = parts(ms, zone);
    let (weekday, month) = (DAYS[p.weekday], MONTHS[p.month]);
    let time = format!("{:02}:{:02}:{:02}", p.hour, p.minute, p.second);
    format!("{weekday}, {} {month} {} {time} {}", p.day, p.year, offset(zone))
}

/// The same with a day of two columns, as Postfix writes it.
pub(crate) fn padded(ms: i64, zone: Zone) -> String {
    let p = parts(ms, zone);
    let (weekday, month) = (DAYS[p.weekday], MONTHS[p.month]);
    let time = format!("{:02}:{:02}:{:02}", p.hour, p.minute, p.second);
    format!("{weekday}, {:>2} {month} {} {time} {} ({})", p.day, p.year, offset(zone), zone.name)
}

/// The same with a day of two digits, as Exim writes it.
pub(crate) fn zeroed(ms: i64, zone: Zone) -> String {
    let p = parts(ms, zone);
    let (weekday, month) = (DAYS[p.weekday], MONTHS[p.month]);
    let time = format!("{:02}:{:02}:{:02}", p.hour, p.minute, p.second);
    format!("{weekday}, {:02} {month} {} {time} {}", p.day, p.year, offset(zone))
}

/// With the zone's name in a comment: `Sat, 10 Dec 2005 06:03:21 -0800 (PST)`.
pub(crate) fn named(ms: i64, zone: Zone) -> String {
    format!("{} ({})", plain(ms, zone), zone.name)
}

/// With the zone's name instead of its offset, as old Sendmail and some web mail write it in Greenwich.
pub(crate) fn gmt(ms: i64) -> String {
    let utc = plain(ms, UTC);
    format!("{} GMT", utc.trim_end_matches(" +0000"))
}

/// As qmail: `10 Dec 2005 14:03:21 -0000`.
pub(crate) fn bare(ms: i64) -> String {
    let p = parts(ms, UTC);
    format!("{} {} {} {:02}:{:02}:{:02} -0000", p.day, MONTHS[p.month], p.year, p.hour, p.minute, p.second)
}

/// As in the line that begins a message in an mbox: `Sat Dec 10 14:03:21 2005`.
pub(crate) fn asctime(ms: i64) -> String {
    let p = parts(ms, UTC);
    let time = format!("{:02}:{:02}:{:02}", p.hour, p.minute, p.second);
    format!("{} {} {:>2} {time} {}", DAYS[p.weekday], MONTHS[p.month], p.day, p.year)
}

/// Digits from the year to the second: `20051210140321`.
pub(crate) fn digits(ms: i64, zone: Zone) -> String {
    let p = parts(ms, zone);
    let date = format!("{:04}{:02}{:02}", p.year, p.month + 1, p.day);
    format!("{date}{:02}{:02}{:02}", p.hour, p.minute, p.second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_other_programs() {
        // date -u -d @1134223401
        let at = 1_134_223_401_000;
        assert_eq!(plain(at, UTC), "Sat, 10 Dec 2005 14:03:21 +0000");
        assert_eq!(plain(at, Zone { minutes: 330, name: "IST" }), "Sat, 10 Dec 2005 19:33:21 +0530");
        assert_eq!(named(at, Zone { minutes: -480, name: "PST" }), "Sat, 10 Dec 2005 06:03:21 -0800 (PST)");
        assert_eq!(gmt(at), "Sat, 10 Dec 2005 14:03:21 GMT");
        assert_eq!(bare(at), "10 Dec 2005 14:03:21 -0000");
        assert_eq!(asctime(at), "Sat Dec 10 14:03:21 2005");
        assert_eq!(digits(at, UTC), "20051210140321");
        // date -u -d @1078099201, the first of March of a leap year.
        assert_eq!(padded(1_078_099_201_000, UTC), "Mon,  1 Mar 2004 00:00:01 +0000 (UTC)");
        assert_eq!(zeroed(1_078_099_200_000 - 1_000, UTC), "Sun, 29 Feb 2004 23:59:59 +0000");
        assert_eq!(plain(0, UTC), "Thu, 1 Jan 1970 00:00:00 +0000");
    }
}
