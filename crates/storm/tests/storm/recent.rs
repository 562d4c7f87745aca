//! What came lately, from whole messages: sequences of arrivals through the tables and the judge.

mod contents;
mod honest;
mod leaving;
mod reports;
mod tables;
mod talk;

use crate::make::*;
use quell_storm::facts::*;
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::recent::Recent;
use quell_storm::said::Said;
use quell_storm::verdict::Verdict;

/// The tables of one server, and its clock.
struct Desk {
    recent: Recent,
    limits: Limits,
    now: Ms,
    count: u32,
}

/// One arrival.
struct Mail<'a> {
    from: &'a str,
    host: &'a str,
    address: u8,
    inside: bool,
    reverse_path: &'a str,
    to: Vec<&'a str>,
    message: String,
}

impl Mail<'_> {
    /// From a client outside.
    fn new<'a>(from: &'a str, to: &'a str, message: impl Into<String>) -> Mail<'a> {
        let host = "mail.client.example";
        Mail {
            from,
            host,
            address: 1,
            inside: false,
            reverse_path: from,
            to: vec![to],
            message: message.into(),
        }
    }
}

impl Desk {
    fn new() -> Self {
        let limits = Limits { recent_entries: 4096, ..Limits::default() };
        Self { recent: Recent::new(7, &limits), limits, now: NOW, count: 0 }
    }

    /// The verdicts, by name and reason.
    fn takes(&mut self, mail: &Mail<'_>) -> Vec<(&'static str, &'static str)> {
        self.count += 1;
        let whole = mail.message.replace('\n', "\r\n");
        let (header, body) = quell_mail::header::split(whole.as_bytes());
        let is_ours = |address: &str| address.ends_with("@firm.example");
        let source = Source {
            address: Some([192, 0, mail.address, 1].into()),
            helo: mail.host.to_owned(),
            inside: mail.inside,
            user: None,
            pickup: None,
        };
        let recipients =
            mail.to.iter().map(|to| Recipient { is_ours: is_ours(to), ..recipient(to) }).collect();
        let facts = Facts {
            queue_id: id(self.count),
            source,
            reverse_path: mail.reverse_path.to_owned(),
            exact_key: None,
            recipients,
            is_author_ours: is_ours(mail.from),
            is_to_us: mail.message.contains("@firm.example"),
            said: Said::read(header, body, mail.reverse_path),
            ..arrival(&[])
        };
        let looked = self.recent.look(&facts, &self.limits, self.now);
        let counts =
            Counts { key_copies: 0, rcpt_copies: vec![0; mail.to.len()], signs: looked.signs.clone() };
        let rows = vec![None; mail.to.len()];
        let verdicts = judge(&facts, &rows, &counts, &self.limits, self.now);
        self.recent.note(&facts, &looked, &vec![true; mail.to.len()], &self.limits, self.now);
        verdicts.iter().map(short).collect()
    }

    fn one(&mut self, mail: &Mail<'_>) -> &'static str {
        match self.takes(mail)[..] {
            [("pass", "no_exact_key" | "flood")] => "pass",
            [("hold", class)] => class,
            ref other => panic!("{other:?}"),
        }
    }
}

const TEXT: &str = "The Law Society's new guide to conveyancing is out.\nIt has four hundred pages, and members \
    may order it\nat the reduced price until the end of the month from our office.\n";

fn newsletter(id: &str, by: &str, more: &str) -> String {
    format!(
        "{by}From: Law Books <news@publisher.example>\nTo: jane@firm.example, tom@solicitor.example, ann@other.example\n\
         Subject: The new guide\nMessage-ID: <{id}>\nDate: Sat, 10 Dec 2005 09:00:00 +0000\n\n{TEXT}{more}"
    )
}

const PUBLISHER: &str = "Received: from app.publisher.example by out.publisher.example with ESMTP id A; Sat, 10 Dec 2005 09:00:01 +0000\n";
const FAULTY: &str = "Received: from mail pickup service by server.solicitor.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\n";
const FAULTY_ISP: &str = "Received: from server.solicitor.local ([203.0.113.5]) by smtp.telecom.example with ESMTP id B; Sat, 10 Dec 2005 09:15:02 +0000\n";
const NEWS: &str = "news@publisher.example";

/// The original, as its publisher sends it.
fn original() -> Mail<'static> {
    let text = newsletter("1@publisher.example", PUBLISHER, "");
    Mail { host: "out.publisher.example", ..Mail::new(NEWS, "jane@firm.example", text) }
}

/// A copy that came by the faulty server's provider, with these stamps and lines added.
fn copy(id: &str, to: &'static str, by: &str, more: &str) -> Mail<'static> {
    Mail { host: "smtp.telecom.example", address: 9, ..Mail::new(NEWS, to, newsletter(id, by, more)) }
}

/// One with the stamps of the server that took it from a mailbox.
fn marked_copy(id: &str, to: &'static str) -> Mail<'static> {
    copy(id, to, &format!("{FAULTY_ISP}{FAULTY}"), "")
}

fn reply(n: usize, author: &str, to: &str, subject: &str) -> String {
    format!(
        "From: {author}\nTo: {to}\nSubject: {subject}\nMessage-ID: <r{n}@firm.example>\nIn-Reply-To: <root@firm.example>\n\
         References: <root@firm.example>\nDate: Sat, 10 Dec 2005 09:00:00 +0000\n\nPlease take me off this list, number {n}.\n"
    )
}
