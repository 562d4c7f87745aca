//! Collected messages: who gets them whatever they say, and that they stay in the house.

use std::sync::Arc;

use proptest::prelude::*;
use quell_mail::header::fields;
use quell_mail::hop;
use quell_mail::id::QueueId;
use quell_mail::key::Secret;
use quell_mail::trace::{ReceivedStamp, token};
use quell_queue::body::{LargeWriter, SpoolError};
use quell_queue::clock::Now;
use quell_storm::facts::{Facts, Ms};

use super::*;
use crate::directory::{CannotTell, DomainPlan, Plan, Population};
use crate::reception::{Asked, Memory, Refused, RefusedRecipient};

mod stamps;

/// Mon, 30 Nov 2026 07:00:00 UTC.
const NOW: Ms = 1_796_022_000_000;
const SECRET: [u8; 32] = [7; 32];

struct Ground;

impl World for Ground {
    fn exists(&self, _: &str, local: &str) -> Result<bool, CannotTell> {
        match local {
            "broken" => Err(CannotTell("the disk".to_owned())),
            local => Ok(local == "maria"),
        }
    }

    fn room(&self, _: Option<u64>) -> bool {
        true
    }

    fn now(&self) -> Now {
        Now { ms: NOW, wall_ms: NOW, mono_ms: 0, may_expire: true }
    }

    fn queue_id(&self, _: &Now) -> Option<QueueId> {
        Some(QueueId::new(2, 0, 1))
    }

    fn begin_large(&self) -> Result<LargeWriter, SpoolError> {
        Err(SpoolError::TooLarge { bytes: 2, limit: 1 })
    }

    fn refused(&self, _: Refused) {}

    fn recipient_refused(&self, _: &RefusedRecipient<'_>) {}
}

fn policy() -> Arc<Policy> {
    let listed = |names: &[&str]| Population::Listed(names.iter().map(|name| (*name).to_owned()).collect());
    let domain = |name: &str, maildir, population| DomainPlan {
        name: name.to_owned(),
        maildir,
        population,
        takes_others: false,
        catch_all: None,
    };
    let plan = Plan {
        hostname: "mx.firm.example".to_owned(),
        domains: vec![
            domain("firm.example", true, listed(&["jane", "joe", "boss"])),
            domain("box.example", true, Population::Existing),
            domain("ask.example", false, Population::Asked),
        ],
        postmaster: Some("boss@firm.example".to_owned()),
        aliases: [(
            "all@firm.example".to_owned(),
            vec!["jane@firm.example".into(), "joe@firm.example".into()],
        )]
        .into(),
        address_literals: true,
    };
    Arc::new(Policy {
        hostname: "mx.firm.example".to_owned(),
        secret: Secret::new(1, SECRET),
        directory: Directory::new(&plan).unwrap(),
        max_header_bytes: 32 << 20,
        spill_bytes: 1 << 30,
        max_rows: 100,
        memory: Memory::new(1 << 30),
    })
}

fn stamped(field: Option<&str>) -> Whose {
    let hosts = vec!["mx.provider.example".to_owned(), "*.in.provider.example".to_owned()];
    Whose::Stamped(Stamp { field: field.map(str::to_owned), hosts, prefix: String::new() })
}

fn these(addresses: &[&str]) -> Whose {
    Whose::These(addresses.iter().map(|address| (*address).to_owned()).collect())
}

fn account(whose: Whose) -> Arc<Account> {
    Arc::new(Account { name: "office".to_owned(), whose, unplaced: None })
}

fn begun(account: &Arc<Account>, message: &[u8], cut: usize) -> Collecting {
    let mut collecting = Collecting::new(policy(), Arc::clone(account), &Ground);
    message.chunks(cut.max(1)).for_each(|piece| collecting.take(piece, &Ground));
    collecting
}

/// Who gets it, and why; whoever has to be asked of a next hop is there, but `nobody@`.
fn placed(account: &Arc<Account>, message: &[u8]) -> Placed {
    let mut placing = begun(account, message, 999).place(&Ground).unwrap();
    while let Some(ask) = placing.to_ask() {
        let there = !ask.identity.starts_with("nobody@");
        placing.asked(if there { Asked::Exists } else { Asked::Unknown }).unwrap();
    }
    placing.placed().unwrap()
}

fn names(placed: &Placed) -> Vec<&str> {
    placed.recipients.iter().map(|one| one.identity.as_str()).collect()
}

fn collected(whose: Whose, message: &[u8], cut: usize) -> Collected {
    let account = account(whose);
    let mut collecting = begun(&account, message, cut);
    let placed = collecting.place(&Ground).unwrap().placed().unwrap();
    let server = Server {
        host: "pop.provider.example".to_owned(),
        address: "192.0.2.7".parse().unwrap(),
        tls: None,
        protocol: "POP3S",
    };
    collecting.finish(placed, &server, &Ground).unwrap()
}

fn facts(whose: Whose, message: &[u8]) -> Facts {
    collected(whose, message, 999).submission.facts().clone()
}

const RECEIVED: &str = "Received: from out.sender.example (out.sender.example [198.51.100.9])\r\n\tby mx.provider.example with ESMTP id 7\r\n\tfor <joe@firm.example>; Mon, 30 Nov 2026 06:00:00 +0000\r\n";
const REST: &str = "From: a@sender.example\r\nTo: stranger@elsewhere.example, jane@firm.example\r\nMessage-ID: <1@x.example>\r\nDate: Mon, 30 Nov 2026 05:00:00 +0000\r\n\r\nhi\r\n";

#[test]
fn what_is_configured_counts_whatever_stands_there() {
    let all = account(these(&[
        "all@firm.example",
        "jane@firm.example",
        "x@ask.example",
        "stranger@elsewhere.example",
    ]));
    let message = format!("Delivered-To: boss@firm.example\r\n{RECEIVED}{REST}");
    let found = placed(&all, message.as_bytes());
    assert_eq!(
        (names(&found), found.how),
        (vec!["jane@firm.example", "joe@firm.example", "x@ask.example"], How::Configured)
    );
    // Nobody of them is left: the postmaster, or whoever is configured.
    let gone = account(these(&["gone@firm.example"]));
    assert_eq!(names(&placed(&gone, message.as_bytes())), ["boss@firm.example"]);
    let unplaced = Account { unplaced: Some("joe@firm.example".to_owned()), ..Account::clone(&gone) };
    assert_eq!(names(&placed(&Arc::new(unplaced), message.as_bytes())), ["joe@firm.example"]);
    let broken = account(these(&["broken@box.example"]));
    assert!(begun(&broken, b"\r\n", 9).place(&Ground).is_err());
}

/// What made servers of 2005 and collectors of today send mail to strangers.
const NASTY: [&str; 14] = [
    "To: undisclosed-recipients:;\r\n",
    "To: unlisted-recipients:; (no To-header on input)\r\n",
    "To: team: stranger@elsewhere.example, other@elsewhere.example;\r\nCc: third@elsewhere.example\r\n",
    "To: \"stranger@elsewhere.example <x@elsewhere.example>\r\n",
    "To: (comment (nested) stranger@elsewhere.example) <x@elsewhere.example\r\n",
    "To: gr\u{fc}\u{df}e@b\u{fc}cher.example, \u{1f4e7} <mail@elsewhere.example>\r\n",
    "Bcc: hidden@elsewhere.example\r\nResent-To: again@elsewhere.example\r\nResent-Bcc: b@elsewhere.example\r\n",
    "To: mspop3connector.jane@server.local\r\nX-Mspop3connector: stranger@elsewhere.example\r\n",
    "Apparently-To: stranger@elsewhere.example\r\nX-Envelope-To: stranger@elsewhere.example\r\n",
    "To: @relay.example:stranger@elsewhere.example\r\n",
    "To: stranger%elsewhere.example@firm.example\r\n",
    "TO: stranger@elsewhere.example\r\nto: other@elsewhere.example\r\nTo : third@elsewhere.example\r\n",
    "To:\r\n\tstranger@elsewhere.example,\r\n",
    "",
];

#[test]
fn no_header_makes_a_recipient_and_none_is_outside() {
    for nasty in NASTY {
        for whose in [these(&["jane@firm.example"]), stamped(Some("delivered-to")), stamped(None)] {
            let message = format!("{RECEIVED}{nasty}From: a@sender.example\r\n\r\nhi\r\n");
            let facts = facts(whose.clone(), message.as_bytes());
            let who: Vec<&str> = facts.recipients.iter().map(|one| one.identity.as_str()).collect();
            let expected: &[&str] = match &whose {
                Whose::These(_) => &["jane@firm.example"],
                Whose::Stamped(Stamp { field: None, .. }) => &["joe@firm.example"],
                Whose::Stamped(_) => &["boss@firm.example"],
            };
            assert_eq!(who, expected, "{nasty:?}");
            assert!(facts.recipients.iter().all(|one| one.is_ours && one.as_given == one.identity));
            assert_eq!(
                (facts.reverse_path.as_str(), facts.reports_to.as_deref()),
                ("", Some("boss@firm.example"))
            );
            assert_eq!(facts.source.id().0, "pickup office");
        }
    }
}

#[test]
fn a_million_addresses_are_bytes_like_others() {
    let mut message = String::from("From: a@sender.example\r\nTo: x@elsewhere.example");
    for n in 0..1_000_000 {
        message.push_str(&format!(",\r\n a{n}@elsewhere.example"));
    }
    message.push_str("\r\nMessage-ID: <1@x.example>\r\nDate: Mon, 30 Nov 2026 05:00:00 +0000\r\n\r\nhi\r\n");
    let collected = collected(these(&["jane@firm.example"]), message.as_bytes(), 64 << 10);
    assert_eq!(collected.submission.facts().recipients.len(), 1);
    assert_eq!(collected.size_bytes, message.len() as u64);
    assert!(collected.digest.is_exact);
}

#[test]
fn our_received_says_where_it_was() {
    let incoming = collected(these(&["jane@firm.example"]), format!("{RECEIVED}{REST}").as_bytes(), 7);
    let incoming = incoming.submission.complete().unwrap();
    let front = String::from_utf8(incoming.front).unwrap();
    assert!(
        front.starts_with(
            "Received: from pop.provider.example ([192.0.2.7])\r\n\t(account office)\r\n\tby mx.firm.example with POP3S\r\n\tid "
        ) && front.contains("\tfor <jane@firm.example>;\r\n"),
        "{front}"
    );
    let field = fields(front.as_bytes()).next().unwrap();
    let hop = hop::parse(field.value);
    assert_eq!((hop.by.unwrap().lower(), hop.ip), ("mx.firm.example".to_owned(), "192.0.2.7".parse().ok()));
    // The judge is told who brought it to the provider.
    let source = incoming.facts.source;
    assert_eq!((source.address, source.helo.as_str()), ("198.51.100.9".parse().ok(), "out.sender.example"));
    assert!(!source.inside && source.user.is_none());
}

#[test]
fn a_providers_delivered_to_is_no_loop_and_our_own_is() {
    // Our own stamp on a message that was delivered here, left again, and lies at the provider now.
    let key = facts(these(&["jane@firm.example"]), REST.as_bytes()).exact_key;
    let secret = Secret::new(1, SECRET);
    let id = QueueId::new(1, 0, 1);
    let own = ReceivedStamp {
        helo: "out.sender.example",
        client_ip: "198.51.100.9".parse().ok(),
        client_name: None,
        account: None,
        tls: None,
        by: "mx.firm.example",
        with: "ESMTP",
        queue_id: id,
        token: token(&secret, id, key.as_ref()),
        for_: None,
        ms: NOW,
    };
    let own = own.field();
    for (above, proven) in [
        (format!("Delivered-To: jane@firm.example\r\n{RECEIVED}"), vec![]),
        (
            format!("Delivered-To: jane@firm.example\r\n{RECEIVED}Delivered-To: joe@firm.example\r\n"),
            vec!["joe@firm.example".to_owned()],
        ),
    ] {
        let facts = facts(these(&["jane@firm.example"]), format!("{above}{own}{REST}").as_bytes());
        assert_eq!(facts.exact_key, key);
        assert_eq!(facts.tokens.len(), 1, "{above}");
        assert_eq!(facts.tokens[0].delivered_to_above, proven);
    }
}

#[test]
fn digests_tell_messages_apart_and_know_them_again() {
    let digest =
        |message: &str, cut| collected(these(&["jane@firm.example"]), message.as_bytes(), cut).digest;
    let keyed = format!("{RECEIVED}{REST}");
    let first = digest(&keyed, 999);
    assert!(first.is_exact && first.tells);
    // What the exact key leaves out says nothing.
    assert_eq!(digest(&format!("Status: RO\r\nX-New: 1\r\n{keyed}"), 3), first);
    let keyless = format!("{RECEIVED}From: a@sender.example\r\nSubject: alarm\r\n\r\nhi\r\n");
    let plain = digest(&keyless, 999);
    assert!(!plain.is_exact && plain.tells);
    assert!(digest(&format!("Status: RO\r\nX-UIDL: 7\r\n{keyless}Lines"), 999) != plain);
    assert_eq!(digest(&format!("Status: RO\r\nX-UIDL: 7\r\n{keyless}"), 1), plain);
    assert_ne!(digest(&keyless.replace("id 7", "id 8"), 999).bytes, plain.bytes);
    assert_ne!(digest(&keyless.replace("hi", "ho"), 999).bytes, plain.bytes);
    let bare = digest("Subject: alarm\r\n\r\nhi\r\n", 999);
    assert!(!bare.is_exact && !bare.tells);
}

proptest! {
    /// Whatever stands there, and however it comes: somebody of ours gets it, nobody else does, and it is the same.
    #[test]
    fn somebody_of_ours_gets_it(
        header in proptest::collection::vec(
            (prop::sample::select(vec!["To", "Cc", "Bcc", "Delivered-To", "Received", "Return-Path", "X"]),
             "[ -~\u{e4}]{0,40}|(from x )?by mx.provider.example( for <[a-z@.]{0,20}>)?|[a-z]{1,5}@(firm|ask|elsewhere).example"), 0..8),
        body: Vec<u8>,
        cut in 1usize..40,
        field in prop::sample::select(vec![None, Some("delivered-to"), Some("x")]),
    ) {
        let mut message: Vec<u8> = header.iter().flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes()).collect();
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&body);
        let account = account(stamped(field));
        let of = |cut| {
            let mut collecting = begun(&account, &message, cut);
            let mut placing = collecting.place(&Ground).unwrap();
            while placing.to_ask().is_some() {
                placing.asked(Asked::Exists).unwrap();
            }
            placing.placed().unwrap()
        };
        let placed = of(usize::MAX);
        prop_assert_eq!(&placed, &of(cut));
        prop_assert!(!placed.recipients.is_empty());
        for one in &placed.recipients {
            prop_assert!(["firm.example", "box.example", "ask.example"].contains(&one.domain.as_str()), "{:?}", one);
            let is_at = one.identity.ends_with(&format!("@{}", one.domain));
            prop_assert!(is_at, "{:?}", one);
        }
    }
}

/// More than one message may be for: nobody is left out in silence.
#[test]
fn too_many_recipients_leave_nobody_out() {
    let many: Vec<String> = (0..101).map(|n| format!("p{n}@ask.example")).collect();
    for (count, fits) in [(100, true), (101, false)] {
        let account = account(Whose::These(many[..count].to_vec()));
        let placed = begun(&account, b"Subject: x\r\n\r\n", 999).place(&Ground).unwrap().placed();
        assert_eq!(placed.as_ref().is_ok_and(|placed| placed.recipients.len() == count), fits, "{placed:?}");
    }
}
