//! The lines that hosts write: trace fields, address lists, and what stands in letters.

use std::net::IpAddr;

use quell_mail::date;
use quell_mail::header::{fields, split};

use crate::host::Moment;
use crate::random::Random;

/// RFC 5322 §2.1.1: lines should have no more.
const MAX_COLUMNS: usize = 78;

/// A `Received` field (RFC 5321 §4.4).
pub(crate) struct Stamp<'a> {
    /// What the client calls itself; what cannot stand there is left out.
    pub helo: &'a str,
    pub peer: IpAddr,
    pub by: &'a str,
    pub with: &'a str,
    pub id: &'a str,
    pub for_: Option<&'a str>,
    /// By the clock of who writes it.
    pub at: Moment,
}

impl Stamp<'_> {
    pub fn field(&self) -> String {
        let helo: String = self.helo.chars().filter(|c| is_host_char(*c)).take(255).collect();
        let Self { peer, by, with, id, .. } = self;
        let for_ = self.for_.map(|address| format!("\r\n\tfor <{address}>")).unwrap_or_default();
        let date = date::print(self.at.ms);
        format!("Received: from {helo} ([{peer}])\r\n\tby {by} with {with} id {id}{for_};\r\n\t{date}\r\n")
    }
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".-_:[]".contains(c)
}

/// How many `Received` fields a message has.
pub(crate) fn hops(message: &[u8]) -> usize {
    fields(split(message).0).filter(|field| field.is("received")).count()
}

/// The field `name` with these addresses, folded after commas as mail programs do.
pub(crate) fn address_field<'a>(name: &str, addresses: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = format!("{name}:");
    let mut columns = text.len();
    for (place, address) in addresses.into_iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        if place > 0 && columns + address.len() + 3 > MAX_COLUMNS {
            text += &format!("{comma}\r\n\t{address}");
            columns = 8 + address.len();
        } else {
            text += &format!("{comma} {address}");
            columns += comma.len() + 1 + address.len();
        }
    }
    text + "\r\n"
}

const WORDS: [&str; 24] = [
    "autumn", "seminar", "chambers", "library", "offer", "volume", "practice", "update", "annual", "review",
    "statute", "bulletin", "property", "evening", "speaker", "register", "edition", "reader", "office",
    "contract", "account", "meeting", "minutes", "invoice",
];

/// Plain text of at least `bytes`, in lines.
pub(crate) fn prose(bytes: usize, random: &mut Random) -> String {
    let mut text = String::with_capacity(bytes + MAX_COLUMNS);
    let mut columns = 0;
    while text.len() < bytes {
        let word = random.choice(&WORDS).copied().unwrap_or_default();
        columns += word.len() + 1;
        text += word;
        if columns > 66 {
            text += ".\r\n";
            columns = 0;
        } else {
            text += " ";
        }
    }
    text + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_what_other_programs_write() {
        let mut stamp = Stamp {
            helo: "mail.firm.example (x)\r\n",
            peer: IpAddr::from([192, 0, 2, 7]),
            by: "isp.example",
            with: "LMTP",
            id: "I1",
            for_: None,
            at: Moment { ms: 1_134_223_401_000 },
        };
        assert_eq!(
            stamp.field(),
            "Received: from mail.firm.examplex ([192.0.2.7])\r\n\tby isp.example with LMTP id I1;\r\n\t\
             Sat, 10 Dec 2005 14:03:21 +0000\r\n"
        );
        stamp.for_ = Some("jane@firm.example");
        let field = stamp.field();
        assert!(field.contains(" id I1\r\n\tfor <jane@firm.example>;\r\n"), "{field}");
        assert_eq!(hops(format!("{field}A: b\r\nReceived: x\r\n\r\nReceived: y\r\n").as_bytes()), 2);
    }

    #[test]
    fn address_lists_are_torn_over_lines() {
        let addresses: Vec<String> = (0..40).map(|n| format!("partner{n}@firm{n}.example")).collect();
        let field = address_field("To", addresses.iter().map(String::as_str));
        assert!(field.lines().count() > 10 && field.lines().all(|line| line.len() < MAX_COLUMNS), "{field}");
        let flat = field.replace("\r\n\t", " ");
        assert_eq!(flat.trim_end(), format!("To: {}", addresses.join(", ")));
        assert_eq!(address_field("Cc", ["a@b"]), "Cc: a@b\r\n");
    }

    #[test]
    fn prose_has_short_lines() {
        let text = prose(3_000, &mut Random::new(1));
        assert!((3_000..3_100).contains(&text.len()));
        assert!(text.lines().all(|line| line.len() < MAX_COLUMNS) && text.ends_with("\r\n"));
        assert_ne!(text, prose(3_000, &mut Random::new(2)));
    }
}
