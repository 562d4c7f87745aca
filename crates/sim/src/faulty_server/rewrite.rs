//! What a faulty server makes of a message before it sends it to everyone: the two shapes that survive
//! in archives of 2005 and 2006.

use std::ops::Range;

use quell_mail::date;
use quell_mail::header::{Field, fields, split};

use super::addresses::{address, elements};
use crate::host::Moment;
use crate::random::Random;
use crate::text::address_field;

/// How the copies of a faulty server look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Message-ID, Date and all else are kept; the trace grows by a pickup line.
    Trace,
    /// The Message-ID and the Date are new, and of the trace the pickup line is all that is left.
    Identity,
}

/// What does not change from copy to copy.
#[derive(Debug, Clone)]
pub struct Habits {
    /// How its copies look.
    pub shape: Shape,
    /// What the server calls itself, and makes Message-IDs of; many firms' servers had the same name.
    pub internal_name: String,
    /// User of the mailbox that it collects, for the address that it adds.
    pub pop3_user: String,
    /// The firm's domain.
    pub domain: String,
    /// [`Shape::Identity`]: one copy in so many has an address of To torn in two. 0: none.
    pub tears_one_in: u64,
    /// [`Shape::Identity`]: quotes are put around the author's name.
    pub requotes_from: bool,
    /// [`Shape::Identity`]: its own pickup address is added to To.
    pub adds_pickup_address: bool,
    /// [`Shape::Identity`]: X-Mailer is added.
    pub says_mailer: bool,
}

/// Fields that survive in [`Shape::Identity`] as they are, beside Content-*.
const SURVIVORS: [&str; 6] = ["subject", "cc", "references", "in-reply-to", "thread-index", "mime-version"];

/// The copy number `serial` of `message`, made at `at` by the server's own clock.
pub(crate) fn copy(message: &[u8], habits: &Habits, at: Moment, serial: u64, random: &mut Random) -> Vec<u8> {
    let (header, body) = split(message);
    let mut text = pickup_line(&habits.internal_name, at).into_bytes();
    match habits.shape {
        Shape::Trace => keep_all(header, &mut text),
        Shape::Identity => new_identity(header, habits, at, serial, random, &mut text),
    }
    text.extend_from_slice(arrival_time(at).as_bytes());
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body);
    text
}

/// The field that Windows' mail service writes for a message from its pickup folder.
fn pickup_line(host: &str, at: Moment) -> String {
    let date = date::print(at.ms);
    format!("Received: from mail pickup service by {host} with Microsoft SMTPSVC;\r\n\t {date}\r\n")
}

/// `X-OriginalArrivalTime`, with the time once more in 100 ns since 1601, lower half first.
fn arrival_time(at: Moment) -> String {
    const YEAR_1601_MS: i64 = -11_644_473_600_000;
    let ticks = (i128::from(at.ms) - i128::from(YEAR_1601_MS)).max(0) * 10_000;
    let (low, high) = (ticks & 0xffff_ffff, (ticks >> 32) & 0xffff_ffff);
    let printed = date::print(at.ms);
    let words: Vec<&str> = printed.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let day_and_time = words.get(1..5).unwrap_or_default().join(" ");
    let fraction = at.ms.rem_euclid(1_000) * 10;
    format!("X-OriginalArrivalTime: {day_and_time}.{fraction:04} (UTC) FILETIME=[{low:08X}:{high:08X}]\r\n")
}

/// All but what the mail service writes anew.
fn keep_all(header: &[u8], text: &mut Vec<u8>) {
    let is_kept = |field: &Field<'_>| !field.is("return-path") && !field.is("x-originalarrivaltime");
    fields(header).filter(is_kept).for_each(|field| text.extend_from_slice(field.whole));
}

fn new_identity(
    header: &[u8],
    habits: &Habits,
    at: Moment,
    serial: u64,
    random: &mut Random,
    text: &mut Vec<u8>,
) {
    for field in fields(header) {
        if field.is("from") && habits.requotes_from {
            text.extend_from_slice(requoted(field).as_bytes());
        } else if field.is("to") {
            text.extend_from_slice(other_to(field, habits, random).as_bytes());
        } else if field.is("from") || survives(field) {
            text.extend_from_slice(field.whole);
        }
    }
    let mut mime_ole = "X-MimeOLE: Produced By Microsoft Exchange V6.5\r\n".to_owned();
    if habits.says_mailer {
        mime_ole += "X-Mailer: Microsoft CDO for Exchange 2000\r\n";
    }
    let number = random.number();
    let id = format!("<{number:016x}${serial:08x}@{}>", habits.internal_name);
    let date = date::print(at.ms);
    text.extend_from_slice(format!("Date: {date}\r\nMessage-ID: {id}\r\n{mime_ole}").as_bytes());
}

fn survives(field: Field<'_>) -> bool {
    let is_content = field.name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
    is_content || SURVIVORS.iter().any(|name| field.is(name))
}

/// From with quotes around a name that had none.
fn requoted(field: Field<'_>) -> String {
    let value = String::from_utf8_lossy(field.value);
    match value.split_once('<') {
        Some((name, address)) if !name.trim().is_empty() && !name.contains('"') => {
            format!("From: \"{}\" <{}\r\n", name.trim(), address.trim_end())
        }
        _ => String::from_utf8_lossy(field.whole).into_owned(),
    }
}

/// To with the pickup address, and perhaps an address torn in two.
fn other_to(field: Field<'_>, habits: &Habits, random: &mut Random) -> String {
    let Habits { pop3_user, domain, internal_name, .. } = habits;
    let pickup = format!("mspop3connector.{pop3_user}@{domain}");
    let value = String::from_utf8_lossy(field.value);
    let tears = random.one_in(habits.tears_one_in);
    if !tears && (!habits.adds_pickup_address || value.contains(&pickup)) {
        return String::from_utf8_lossy(field.whole).into_owned();
    }
    let mut list: Vec<String> = elements(&value).map(str::to_owned).collect();
    if tears {
        let place = usize::try_from(random.below(list.len() as u64)).unwrap_or(0);
        let parts = list.get(place).and_then(|element| torn(element, internal_name));
        list.splice(tear_range(place, parts.is_some()), parts.into_iter().flatten());
    }
    if habits.adds_pickup_address && !value.contains(&pickup) {
        list.push(format!("\"IMB Recipient 1\" <{pickup}>"));
    }
    address_field("To", list.iter().map(String::as_str))
}

fn tear_range(place: usize, is_torn: bool) -> Range<usize> {
    place..place + usize::from(is_torn)
}

/// An address taken for two local users of the server.
fn torn(element: &str, internal_name: &str) -> Option<[String; 2]> {
    let path = address(element)?;
    let domain = path.domain()?;
    Some([path.local_part(), domain].map(|part| format!("<{part}@{internal_name}>")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habits(shape: Shape) -> Habits {
        Habits {
            shape,
            internal_name: "server.sbs.local".to_owned(),
            pop3_user: "firm1".to_owned(),
            domain: "firm1.example".to_owned(),
            tears_one_in: 0,
            requotes_from: true,
            adds_pickup_address: true,
            says_mailer: true,
        }
    }

    const MESSAGE: &str = "Return-Path: <news@law.example>\r\nReceived: from x ([192.0.2.1])\r\n\tby y; now\r\n\
        Message-ID: <1@law.example>\r\nDate: Sat, 10 Dec 2005 14:00:00 +0000\r\nFrom: Law News <news@law.example>\r\n\
        To: a@firm1.example,\r\n\tb@firm2.example\r\nCc: c@firm3.example\r\nSubject: Offers\r\n\
        References: <0@law.example>\r\nContent-Type: text/plain\r\nX-Own: y\r\n\
        X-OriginalArrivalTime: old\r\n\r\nBody\r\n";
    const AT: Moment = Moment { ms: 1_134_223_401_562 };

    fn made(habits: &Habits) -> String {
        String::from_utf8(copy(MESSAGE.as_bytes(), habits, AT, 7, &mut Random::new(1))).unwrap()
    }

    #[test]
    fn a_growing_trace() {
        assert_eq!(
            made(&habits(Shape::Trace)),
            format!(
                "Received: from mail pickup service by server.sbs.local with Microsoft SMTPSVC;\r\n\t \
                 Sat, 10 Dec 2005 14:03:21 +0000\r\n{}\
                 X-OriginalArrivalTime: 10 Dec 2005 14:03:21.5620 (UTC) FILETIME=[{}]\r\n\r\nBody\r\n",
                MESSAGE
                    .strip_prefix("Return-Path: <news@law.example>\r\n")
                    .unwrap()
                    .strip_suffix("X-OriginalArrivalTime: old\r\n\r\nBody\r\n")
                    .unwrap(),
                filetime(AT.ms)
            )
        );
    }

    /// The definition once more: 100 ns since 1601, and 369 years with 89 leap days lie before 1970.
    fn filetime(ms: i64) -> String {
        let ticks = (ms as u64 + (369 * 365 + 89) * 86_400_000) * 10_000;
        format!("{:08X}:{:08X}", ticks as u32, ticks >> 32)
    }

    #[test]
    fn a_new_identity() {
        let copy = made(&habits(Shape::Identity));
        let (header, body) = copy.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "Body\r\n");
        let lines: Vec<&str> = header.split("\r\n").collect();
        assert_eq!(
            lines[..10],
            [
                "Received: from mail pickup service by server.sbs.local with Microsoft SMTPSVC;",
                "\t Sat, 10 Dec 2005 14:03:21 +0000",
                "From: \"Law News\" <news@law.example>",
                "To: a@firm1.example, b@firm2.example,",
                "\t\"IMB Recipient 1\" <mspop3connector.firm1@firm1.example>",
                "Cc: c@firm3.example",
                "Subject: Offers",
                "References: <0@law.example>",
                "Content-Type: text/plain",
                "Date: Sat, 10 Dec 2005 14:03:21 +0000",
            ]
        );
        assert!(lines[10].starts_with("Message-ID: <") && lines[10].ends_with("$00000007@server.sbs.local>"));
        assert_eq!(lines[11], "X-MimeOLE: Produced By Microsoft Exchange V6.5");
        assert_eq!(lines[12], "X-Mailer: Microsoft CDO for Exchange 2000");
        assert!(lines[13].starts_with("X-OriginalArrivalTime: 10 Dec 2005") && lines.len() == 14);
    }

    #[test]
    fn an_address_is_torn_in_two() {
        let torn = made(&Habits { tears_one_in: 1, adds_pickup_address: false, ..habits(Shape::Identity) });
        let to = torn.lines().find(|line| line.starts_with("To: ")).unwrap();
        let a = "To: <a@server.sbs.local>, <firm1.example@server.sbs.local>, b@firm2.example";
        let b = "To: a@firm1.example, <b@server.sbs.local>, <firm2.example@server.sbs.local>";
        assert!([a, b].contains(&to), "{to}");
    }

    #[test]
    fn what_is_there_already_is_not_done_again() {
        let habits = habits(Shape::Identity);
        let once = made(&habits);
        let twice = copy(once.as_bytes(), &habits, AT, 8, &mut Random::new(2));
        let twice = String::from_utf8(twice).unwrap();
        assert_eq!(twice.matches("IMB Recipient").count(), 1);
        assert_eq!(twice.matches("From: \"Law News\"").count(), 1);
        assert_eq!(twice.matches("pickup service").count(), 1);
    }
}
