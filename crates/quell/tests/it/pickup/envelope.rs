//! A catch-all mailbox: who gets a message says the provider's own stamp, never To, Cc or Bcc, and nothing
//! goes out.

use super::{OFFICE, World, account, end_of, events};
use crate::crash::wait_until_empty;
use crate::support::maildir;
use crate::support::peers::counter::Counter;
use crate::support::peers::hostile::{Does, Hostile, Protocol};
use crate::support::peers::provider::Options;
use crate::support::{Server, TempDir};
use std::collections::BTreeMap;

/// By whom the provider's own deliveries are stamped.
const STAMP: &str = "Received: from out.client.example (out.client.example [192.0.2.7])\r\n\tby mx.provider.example (Postfix) with ESMTPS id 4F{n}\r\n\tfor <catch-all@provider.example>; Mon, 1 Jan 2024 10:00:00 +0000 (UTC)\r\n";
/// The same, for somebody else.
const FOREIGN: &str = "Received: from a.client.example by mx.elsewhere.example with ESMTP id 4F{n};\r\n\tMon, 1 Jan 2024 09:00:00 +0000\r\n";

/// A catch-all account, and what all the world would get.
struct Office {
    world: World,
    outside: Counter,
    sent: usize,
    expected: BTreeMap<String, Vec<String>>,
}

impl Office {
    fn start(name: &str, more: &str) -> Option<Self> {
        let outside = Counter::start();
        let port = outside.port;
        let world = World::start(name, Options::default(), |provider, directory| {
            let more = format!(
                "stamped_by = [\"mx.provider.example\"]\n{more}\n{{ca}}\n[relay]\nvia = \"smtp://127.0.0.1:{port}\"\n"
            );
            account(directory, "office", &provider.url("pop3s"), &more)
        })?;
        Some(Self { world, outside, sent: 0, expected: BTreeMap::new() })
    }

    /// A message with this header, in which `{n}` is a number of its own, must end up here.
    fn deliver(&mut self, header: &str, to: &[&str]) {
        self.sent += 1;
        let id = format!("e{}", self.sent);
        let header = header.replace("{n}", &self.sent.to_string());
        let text = format!(
            "{header}From: a@client.example\r\nMessage-ID: <{id}@client.example>\r\nX-Test-Id: {id}\r\nSubject: {id}\r\n\r\ntext of {id}\r\n"
        );
        self.world.provider.deliver(OFFICE, text.as_bytes());
        for name in to {
            self.expected.entry((*name).to_owned()).or_default().push(id.clone());
        }
    }

    /// Collects all; each message lies where it must, once, and nothing has gone out.
    fn check(&mut self) {
        self.world.collects("office");
        wait_until_empty(&self.world.server, super::LIMIT);
        for name in ["jane", "john"] {
            let mut expected = self.expected.get(name).cloned().unwrap_or_default();
            let mails = maildir::read(&self.world.mailbox(name));
            let mut found: Vec<String> = mails.into_iter().filter_map(|mail| mail.test_id).collect();
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{name}\n{}", end_of(&self.world.server.output()));
        }
        self.world.provider.expect_left(OFFICE, 0);
        let usage = self.outside.usage();
        assert_eq!((self.outside.distinct(), usage.sessions), (0, 0), "mail went out");
    }
}

/// What every kind of field has in common. `{stamp}` is the provider's.
fn field(name: &str) {
    let Some(mut office) =
        Office::start(name, &format!("envelope = \"{name}\"\nunplaced = \"john@firm.example\""))
    else {
        return;
    };
    let cases: [(&str, &[&str]); 12] = [
        ("{field}: jane@firm.example\r\n{stamp}", &["jane"]),
        ("{field}: <JANE@Firm.Example>\r\n{stamp}To: john@firm.example\r\n", &["jane"]),
        ("Return-Path: <a@client.example>\r\n{field}: jane@firm.example\r\n{stamp}{foreign}", &["jane"]),
        // A stamp that came with the message says nothing, whatever it names.
        ("{stamp}{field}: jane@firm.example\r\n", &["john"]),
        ("{field}: jane@firm.example\r\n{foreign}", &["john"]),
        ("{field}: jane@firm.example\r\n{stamp}{field}: john@firm.example\r\n{stamp}", &["jane"]),
        ("{field}: jane@firm.example\r\n{field}: john@firm.example\r\n{stamp}", &["jane"]),
        // Whoever stamped it behind the provider's host is the provider's, too.
        ("{foreign}{field}: jane@firm.example\r\n{stamp}", &["jane"]),
        ("{field}: jane@firm.example\r\n", &["john"]),
        ("{stamp}To: jane@firm.example\r\nCc: jane@firm.example\r\nBcc: jane@firm.example\r\n", &["john"]),
        // Not ours, and nobody here.
        ("{field}: jane@client.example\r\n{stamp}To: jane@firm.example\r\n", &["john"]),
        ("{field}: nobody@firm.example\r\n{stamp}To: jane@firm.example\r\n", &["john"]),
    ];
    for (header, to) in cases {
        let header = header.replace("{field}", name).replace("{stamp}", STAMP).replace("{foreign}", FOREIGN);
        office.deliver(&header, to);
    }
    office.check();
}

#[test]
fn delivered_to() {
    field("Delivered-To");
}

#[test]
fn x_original_to() {
    field("X-Original-To");
}

#[test]
fn envelope_to() {
    field("Envelope-To");
}

/// The clause of the provider's topmost Received.
#[test]
fn for_clause() {
    let more = "envelope = \"for\"\nunplaced = \"john@firm.example\"";
    let Some(mut office) = Office::start("for", more) else { return };
    let stamp = |to: &str| STAMP.replace("for <catch-all@provider.example>", to);
    let jane = stamp("for <jane@firm.example>");
    let cases = [
        (jane.clone(), "jane"),
        (stamp("for jane@firm.example"), "jane"),
        (format!("{jane}{FOREIGN}{}", stamp("for <john@firm.example>")), "jane"),
        (format!("{}{jane}", stamp("for <john@firm.example>")), "john"),
        (format!("{}{jane}", stamp("(envelope of many)")), "john"),
        (jane.replace("by mx.provider.example", "by mx.elsewhere.example"), "john"),
        // In a comment, and in a name that only looks like the host's.
        (stamp("(for <jane@firm.example>)"), "john"),
        (jane.replace("by mx.provider.example", "by mx.provider.example.evil.example"), "john"),
        (stamp("for <jane@client.example>"), "john"),
        (stamp("for <nobody@firm.example>"), "john"),
        ("Delivered-To: jane@firm.example\r\n".to_owned() + &stamp("(no clause)"), "john"),
    ];
    for (header, to) in cases {
        office.deliver(&header, &[to]);
    }
    office.check();
}

/// Nobody is named for what cannot be placed: then it is the postmaster's, which is jane's here.
#[test]
fn what_cannot_be_placed_is_the_postmasters() {
    let Some(mut office) = Office::start("postmaster", "envelope = \"Delivered-To\"") else { return };
    office.deliver("Delivered-To: john@firm.example\r\n{}", &["jane"]);
    office.deliver(&format!("Delivered-To: john@firm.example\r\n{STAMP}"), &["john"]);
    office.deliver(&format!("{STAMP}To: john@firm.example\r\n"), &["jane"]);
    office.check();
}

/// Fields of To as they were seen, and worse. None of them is anybody's address.
const NASTY: [&str; 16] = [
    "",
    "To: unlisted-recipients:; (no To-header on input)\r\n",
    "To: undisclosed-recipients:;\r\n",
    "To: Friends: john@firm.example, x@client.example;, other@client.example\r\n",
    "To: \"john@firm.example\" <a@client.example>, (john@firm.example) b@client.example\r\n",
    "To: \"unbalanced <john@firm.example>, x@client.example\r\n",
    "To: (unbalanced john@firm.example, x@client.example\r\n",
    "To: <<john@firm.example>>, ,,;;:@\r\n",
    "To: mspop3connector.john@firm.example\r\n",
    "To: mspop3connector.john@client.example, john@client.example\r\n",
    "To: john@firm.example, x@client.example\r\nTo: y@client.example\r\nTo: john@firm.example\r\n",
    "Resent-To: john@firm.example\r\nResent-Cc: x@client.example\r\nBcc: john@firm.example, y@client.example\r\n",
    "Apparently-To: john@firm.example, x@client.example\r\nX-Envelope-To: john@firm.example\r\n",
    "To: john@firm.example\u{0}, x@client.example\r\n",
    "to:john@firm.example\r\n\t,\r\n \r\n\tx@client.example\r\n",
    "To: @client.example,@firm.example:john@firm.example, \"x\\\"y\"@client.example\r\n",
];

/// Whatever stands there, one gets it: whom the stamp names, and jane without it.
#[test]
fn the_nastiest_headers_address_nobody() {
    let Some(mut office) = Office::start("nasty", "envelope = \"Delivered-To\"") else { return };
    for nasty in NASTY {
        office.deliver(&format!("Delivered-To: jane@firm.example\r\n{STAMP}{nasty}"), &["jane"]);
        office.deliver(&format!("{STAMP}{nasty}"), &["jane"]);
    }
    office.check();
    // Octets that are no text.
    for (id, field) in [
        ("b1", &b"To: j\xf6hn <john@firm.example>, \xff\xfe@client.example\r\n"[..]),
        ("b2", b"T\xf6: x\r\n"),
    ] {
        let tail = format!("X-Test-Id: {id}\r\nMessage-ID: <{id}@client.example>\r\n\r\n\u{e9}\r\n");
        let stamp = STAMP.replace("{n}", id);
        let all = [b"Delivered-To: jane@firm.example\r\n", stamp.as_bytes(), field, tail.as_bytes()].concat();
        office.world.provider.deliver(OFFICE, &all);
        office.expected.entry("jane".to_owned()).or_default().push(id.to_owned());
    }
    office.check();
}

/// The same holds for an account of one user.
#[test]
fn an_account_of_one_user_reads_no_address() {
    let outside = Counter::start();
    let made = World::start("one-user", Options::default(), |provider, directory| {
        let relay = format!("[relay]\nvia = \"smtp://127.0.0.1:{}\"\n", outside.port);
        let more = format!("to = [\"jane@firm.example\"]\n{{ca}}\n{relay}");
        account(directory, "office", &provider.url("imaps"), &more)
    });
    let Some(world) = made else { return };
    for (number, nasty) in NASTY.iter().enumerate() {
        let text = format!(
            "Delivered-To: john@firm.example\r\n{nasty}X-Test-Id: o{number}\r\nSubject: o{number}\r\n\r\n{number}\r\n"
        );
        world.provider.deliver(OFFICE, text.as_bytes());
    }
    world.collects("office");
    wait_until_empty(&world.server, super::LIMIT);
    assert_eq!((world.count("jane"), world.count("john")), (NASTY.len(), 0));
    assert_eq!((outside.distinct(), outside.usage().sessions), (0, 0));
}

/// A million addresses: taken, or left there and told; nobody else gets it, and it costs no memory.
#[test]
fn a_million_addresses_address_nobody() {
    let (outside, hostile) = (Counter::start(), Hostile::start(Protocol::Pop3, Does::Nothing, None));
    let addresses: Vec<String> = (0..1_000_000).map(|n| format!(" u{n}@client.example")).collect();
    let text = format!(
        "From: a@client.example\r\nX-Test-Id: many\r\nTo:{}\r\n\r\ntext\r\n",
        addresses.join(",\r\n")
    );
    hostile.deliver("many", text.as_bytes());
    hostile.deliver("small", b"From: a@client.example\r\nX-Test-Id: small\r\n\r\ntext\r\n");
    let directory = TempDir::new("pickup-million");
    let url = format!("pop3://127.0.0.1:{}", hostile.port);
    let relay = format!("[relay]\nvia = \"smtp://127.0.0.1:{}\"\n", outside.port);
    let more = format!("tls = \"never\"\nto = [\"jane@firm.example\"]\n{relay}");
    let server =
        Server::start(&directory, &super::two_mailboxes(&account(&directory, "office", &url, &more)));
    server.reset_peak();
    let before = server.resident_bytes();
    let (_, said) = crate::support::process::try_run(&mut server.command(&["pickup", "run", "office"]));
    wait_until_empty(&server, super::LIMIT);
    let mails = maildir::read(&server.maildir("firm.example", "jane"));
    let mut found: Vec<String> = mails.into_iter().filter_map(|mail| mail.test_id).collect();
    found.sort();
    let refused = events(&server, "pickup_refused", "office").len();
    let left = hostile.left();
    assert!(
        (found == ["many", "small"] && left.is_empty())
            || (found == ["small"] && left == ["many"] && refused == 1),
        "{found:?} {left:?} {refused}\n{said}\n{}",
        end_of(&server.output())
    );
    let grown = server.peak_bytes().saturating_sub(before);
    eprintln!("a million addresses in {} KiB: {} KiB more memory at most", text.len() >> 10, grown >> 10);
    assert!(grown < 64 << 20, "{grown}");
    assert_eq!((outside.distinct(), outside.usage().sessions), (0, 0));
}
