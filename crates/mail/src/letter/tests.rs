//! Headers, and what they say.

use proptest::prelude::*;

use super::*;

const PATH: &str = "jane@firm.example";

fn of(header: &str) -> Letter {
    read(header.as_bytes(), b"", PATH)
}

fn hashes(addresses: &[&str]) -> Vec<u64> {
    let mut hashes: Vec<u64> = addresses.iter().map(|a| address_hash(a)).collect();
    hashes.sort_unstable();
    hashes
}

#[test]
fn authors() {
    for (header, wanted) in [
        ("From: \"Doe, Jane\" <Jane@Firm.Example>\r\nFrom: bob@x\r\n", Some("jane@firm.example")),
        ("FROM:\r\n =?utf-8?q?J=C3=A4ne?=\r\n <jane@firm.example>\r\n", Some("jane@firm.example")),
        ("From: jane@firm.example (Jane), bob@x\r\n", Some("jane@firm.example")),
        ("From: \u{dc}lo@B\u{dc}CHER.example\r\n", Some("\u{fc}lo@b\u{fc}cher.example")),
        ("From: Jane\r\n", None),
        ("From:\r\n", None),
        ("Sender: jane@x\r\n", None),
        ("", None),
    ] {
        assert_eq!(of(header).author.as_deref(), wanted, "{header}");
    }
    for local in ["a", "\u{e4}", "\u{130}"] {
        let long = of(&format!("From: {}@x\r\n", local.repeat(1_000)));
        assert!(long.author.is_some_and(|author| author.len() <= MAX_AUTHOR_BYTES));
    }
}

#[test]
fn recipients() {
    for (header, wanted, total) in [
        ("To: a@x, B <B@X>\r\nCc: \"c\"@x,\r\n a@x\r\n", &["a@x", "b@x", "c@x"][..], 4),
        ("To: Friends: a@x, b@x;\r\nTo: c@x\r\n", &["a@x", "b@x", "c@x"], 3),
        ("To: a@b\u{fc}cher.example\r\n", &["A@xn--bcher-kva.example"], 1),
        ("To: undisclosed-recipients:;\r\nBcc: a@x\r\n", &[], 0),
        ("Resent-To: a@x\r\n", &[], 0),
    ] {
        let letter = of(header);
        assert_eq!((letter.addressed, letter.addressed_total), (hashes(wanted), total), "{header}");
    }
    assert_eq!(address_hash("\"Jane\"@FIRM.example"), address_hash("jane@firm.example"));
    assert_ne!(address_hash("jane@firm.example"), address_hash("jane@other.example"));
    assert_ne!(address_hash("j\u{e4}ne"), address_hash("j\u{e4}ne@"));
}

#[test]
fn of_many_recipients_the_same_are_kept() {
    let to = |order: &mut dyn Iterator<Item = u32>| {
        let list: Vec<String> = order.map(|n| format!("reader{n}@firm.example")).collect();
        of(&format!("To: {}\r\n", list.join(", ")))
    };
    let (up, down) = (to(&mut (0..20_000)), to(&mut (0..20_000).rev()));
    assert_eq!((up.addressed.len(), up.addressed_total), (MAX_ADDRESSED, 20_000));
    assert_eq!(up, down);
    assert!(up.addressed.is_sorted_by(|a, b| a < b));
    let twice = to(&mut (0..20_000).map(|n| n % 1_000));
    assert_eq!((twice.addressed.len(), twice.addressed_total), (1_000, 20_000));
}

#[test]
fn conversations() {
    let first = of("Message-ID: <1@x>\r\nSubject: a\r\n");
    let index = |more: &str| format!("AdRkAAAAAAAAAAAAAAAAAAAAAAAAA{more}");
    assert_eq!(first.thread, None);
    for header in [
        "References: <1@x> <2@x>\r\nIn-Reply-To: <2@x>\r\n",
        "References:\r\n\t<1\r\n @x>\r\n",
        "In-Reply-To: <1@x>\r\n",
        "In-Reply-To: Jane's message of today <1@x>\r\n",
        "In-Reply-To: 1@x\r\n",
        "Thread-Index: short\r\nIn-Reply-To: <1@x>\r\n",
    ] {
        assert_eq!(of(header).thread, first.message_id, "{header}");
    }
    assert_eq!(of(" \r\nMessage-ID: (x) <1@\r\n\tx> (y)\r\n").message_id, first.message_id);
    let by_index = of(&format!("Thread-Index: {}A==\r\nIn-Reply-To: <1@x>\r\n", index("")));
    let answer = of(&format!("Thread-Index: {}AAAAAAAB\r\n", index("")));
    assert!(by_index.thread.is_some() && by_index.thread == answer.thread);
    assert_ne!(by_index.thread, first.message_id);
    for header in ["In-Reply-To: your message\r\n", "References: <>\r\n", "Thread-Index: AdRk\r\n"] {
        assert_eq!(of(header).thread, None, "{header}");
    }
}

#[test]
fn answers() {
    let index = "Thread-Index: AdRkAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (header, wanted) in [
        ("Subject: Re: a\r\nIn-Reply-To: <1@x>\r\n".to_owned(), true),
        ("Subject: AW: a\r\nReferences: <1@x>\r\n".to_owned(), true),
        ("Subject: [list] RE[2]: a\r\nReferences: <1@x>\r\n".to_owned(), true),
        (format!("Subject: SV: a\r\n{index}AAAAAAAB\r\n"), true),
        (format!("Subject: Antw: a\r\n{index}A==\r\n"), false),
        ("Subject: Re: a\r\n".to_owned(), false),
        ("Subject: a\r\nIn-Reply-To: <1@x>\r\n".to_owned(), false),
        ("Subject: TR: a\r\nReferences: <1@x>\r\n".to_owned(), false),
        ("Subject: Fwd: Re: a\r\nReferences: <1@x>\r\n".to_owned(), false),
    ] {
        assert_eq!(of(&header).is_reply, wanted, "{header}");
    }
}

#[test]
fn subjects() {
    let about = |subject: &str| of(&format!("Subject: {subject}\r\n")).subject;
    let printer = about("The printer");
    assert!(printer.is_some());
    for subject in
        ["Re: [Ticket #41] the  PRINTER", "[Ticket #42] AW: The printer", "=?utf-8?q?The?= printer 7"]
    {
        assert_eq!(about(subject), printer, "{subject}");
    }
    assert_ne!(about("The printers"), printer);
    assert!(about("Re: [41]").is_none() && about("").is_none());
}

#[test]
fn lists() {
    let letter = of("List-Id: Friends <Friends.Lists.Example>\r\n");
    assert_eq!(letter.list_id.as_deref(), Some("friends.lists.example"));
    assert_eq!(letter.list, of("List-ID: <friends.lists.example>\r\n").list);
    assert_ne!(letter.list, of("List-ID: <other.lists.example>\r\n").list);
    assert_eq!((of("List-Id: <>\r\n").list, of("Subject: x\r\n").list_id), (None, None));
}

#[test]
fn machines() {
    use Machine::{Answered, No, Sent};
    for (header, path, wanted) in [
        ("Subject: a\r\n", PATH, No),
        ("Auto-Submitted: no\r\n", PATH, No),
        ("Precedence: first-class\r\nX-Autoreply: no\r\n", PATH, No),
        ("Subject: Out of office: who is away in July?\r\n", PATH, No),
        ("Subject: Abwesenheit der Klasse 3a\r\nList-Id: <school.example>\r\n", PATH, Sent),
        ("List-Unsubscribe: <x>\r\n", PATH, Sent),
        ("List-Id: <a.example>\r\n", PATH, Sent),
        ("precedence: BULK\r\n", PATH, Sent),
        ("Auto-Submitted: auto-generated\r\n", PATH, Sent),
        ("Auto-Submitted: something-new\r\n", PATH, Sent),
        ("X-Auto-Response-Suppress: All\r\n", PATH, Sent),
        ("Subject: a\r\n", "", Sent),
        ("Auto-Submitted: auto-replied (vacation)\r\nPrecedence: bulk\r\n", PATH, Answered),
        ("Auto-Submitted: auto-notified; owner-email=\"x\"\r\n", PATH, Answered),
        ("X-Autoreply: yes\r\n", PATH, Answered),
        ("X-AUTORESPOND: v1\r\n", PATH, Answered),
        ("Precedence: auto_reply\r\n", PATH, Answered),
        ("Delivered-To: Autoresponder\r\n", PATH, Answered),
        ("Delivered-To: jane@firm.example\r\n", PATH, No),
        ("X-Autogenerated: Reply\r\n", PATH, Answered),
        ("Subject: Automatic reply: a\r\nX-Auto-Response-Suppress: All\r\n", PATH, Answered),
        ("Subject: Abwesenheitsnotiz: a\r\n", "", Answered),
        ("Subject: =?utf-8?q?R=C3=A9ponse_automatique=C2=A0=3A_a?=\r\n", "", Answered),
        ("Content-Type: multipart/report; report-type=disposition-notification\r\n", PATH, Answered),
        (
            "Content-Type: Multipart/Report; boundary=x;\r\n REPORT-TYPE=\"delivery-status\"\r\n",
            PATH,
            Answered,
        ),
    ] {
        assert_eq!(read(header.as_bytes(), b"", path).machine, wanted, "{header}");
    }
}

const DSN: &str = "From: postmaster@b.example\r\nContent-Type: multipart/report; \
    report-type=\"delivery-status\"; boundary=b\r\nReferences: <0@x> <parent@x>\r\n";
const RETURNED: &str = "--b\r\n\r\nYour message\r\nMessage-ID: <other@x>\r\nwas not delivered.\r\n--b\r\n\
    Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; b.example\r\n\r\n--b\r\n\
    Content-Type: text/rfc822-headers\r\n\r\nSubject: a\r\nMessage-Id:\r\n <1@x>\r\n\r\n--b--\r\n";

#[test]
fn reports() {
    let id = |id: &str| of(&format!("Message-ID: <{id}>\r\n")).message_id;
    let whole = RETURNED.replace("text/rfc822-headers", "Message/RFC822");
    let bare = RETURNED.replace("Content-Type: text/rfc822-headers\r\n", "");
    for (header, body, path, wanted) in [
        (DSN, RETURNED, "", Some(id("1@x"))),
        (DSN, &whole, PATH, Some(id("1@x"))),
        (DSN, &bare, "", Some(id("other@x"))),
        (DSN, "", "", Some(id("parent@x"))),
        ("From: a@x\r\nSubject: Undelivered Mail Returned to Sender\r\n", "", "", Some(None)),
        (
            "From: MAILER-DAEMON@x\r\nSubject: failure notice\r\n",
            "Message-ID: 1@x\r\n",
            PATH,
            Some(id("1@x")),
        ),
        ("From: MAILER-DAEMON@x\r\nSubject: a\r\nX-Failed-Recipients: a@x\r\n", "", PATH, Some(None)),
        (
            "From: Mailer-Daemon@x\r\nSubject: a\r\nIn-Reply-To: <1@x>\r\n",
            "Hi. This is the qmail-send program at x\r\n",
            PATH,
            Some(id("1@x")),
        ),
        ("From: postmaster@x\r\nSubject: Unzustellbar: a\r\n", "", "", Some(None)),
        ("From: postmaster@x\r\nSubject: Re: Undeliverable: a\r\n", "Dear Jane\r\n", PATH, None),
        ("From: postmaster@x\r\nSubject: New rules for mail\r\n", RETURNED, PATH, None),
        ("From: jane@x\r\nSubject: Undeliverable: a\r\n", RETURNED, PATH, None),
        ("From: jane@x\r\nSubject: Out of office\r\n", "", "", None),
        ("Content-Type: multipart/report; report-type=feedback-report\r\n", RETURNED, PATH, None),
        ("Content-Type: multipart/mixed; report-type=delivery-status\r\n", RETURNED, PATH, None),
    ] {
        let letter = read(header.as_bytes(), body.as_bytes(), path);
        assert_eq!(letter.report.map(|report| report.original), wanted, "{header}{body}");
    }
}

#[test]
fn our_own_report_is_one() {
    use crate::dsn::{Original, Report};
    let original = b"Message-ID: <1@x>\r\nSubject: a\r\n\r\ntext\r\n";
    for whole in [true, false] {
        let composed = Report {
            host: "mx.firm.example",
            to: "jane@x",
            message_id: "<r@firm.example>",
            date_ms: 0,
            arrival_ms: 0,
            envid: None,
            ret_full: Some(whole),
            smtputf8: false,
            told: &[],
            collected: None,
            original: Original { bytes: original, whole },
        }
        .compose();
        let (header, body) = composed.bytes.split_at(composed.header_bytes);
        let letter = read(header, body, "");
        assert_eq!(letter.machine, Machine::Answered);
        assert_eq!(letter.report.and_then(|r| r.original), of("Message-ID: <1@x>\r\n").message_id);
    }
}

/// Nothing here is quadratic or grows without bound: the test takes minutes where it is.
#[test]
fn hostile_headers() {
    let times = |piece: &str| piece.repeat((2 << 20) / piece.len());
    for piece in [
        "a@x,",
        "\"",
        "(",
        "<",
        "<@",
        "\"\\",
        "\\",
        "a@",
        "x:",
        "x:a@x;",
        ";",
        "=?utf-8?q?",
        " ",
        "Re: ",
        "[1]",
    ] {
        for name in ["From", "To", "Cc", "Subject", "References", "List-Id", "Content-Type", "Message-ID"] {
            let letter = of(&format!("{name}: {}\r\n", times(piece)));
            assert!(
                letter.addressed.len() <= MAX_ADDRESSED && letter.addressed.capacity() <= 4 * MAX_ADDRESSED
            );
        }
    }
    let many = of(&times("To: a@x\r\n"));
    assert_eq!((many.addressed.len(), many.addressed_total), (1, (2 << 20) / 9));
    for piece in ["Message-ID:\r\n", "Message-ID: <\r\n ", "Content-Type: message/rfc822\r\n", "\n", "x"] {
        assert!(read(DSN.as_bytes(), times(piece).as_bytes(), "").report.is_some());
    }
}

/// Pieces of headers and reports.
const PIECES: [&str; 24] = [
    "From: ",
    "To: ",
    "Cc: ",
    "Subject: ",
    "Re: ",
    "[x 1] ",
    "a@x",
    "<b@x>",
    ",",
    ";",
    ":",
    "\"",
    "(",
    ")",
    "\r\n",
    "\r\n ",
    "References: ",
    "Message-ID: ",
    "Content-Type: multipart/report; report-type=delivery-status",
    "Content-Type: message/rfc822",
    "Auto-Submitted: auto-replied",
    "List-Id: ",
    "mailer-daemon@x",
    "\u{fc}",
];

proptest! {
    #[test]
    fn anything_is_read(pieces in proptest::collection::vec(0..PIECES.len(), 0..40), cut in 0usize..400,
        raw in proptest::collection::vec(any::<u8>(), 0..80), null_path in any::<bool>()) {
        let mut header: Vec<u8> = pieces.iter().flat_map(|at| PIECES[*at].bytes()).collect();
        header.extend(raw);
        let (header, body) = header.split_at(cut.min(header.len()));
        let path = if null_path { "" } else { PATH };
        let letter = read(header, body, path);
        prop_assert!(letter.addressed.is_sorted_by(|a, b| a < b));
        prop_assert!(letter.addressed.len() <= letter.addressed_total as usize);
        prop_assert_eq!(letter.list.is_some(), letter.list_id.is_some());
        prop_assert!(letter.report.is_none() || letter.machine == Machine::Answered);
        prop_assert!(!null_path || letter.machine != Machine::No);
        // Who carried it does not count.
        let carried = [b"Received: from a by b; now\r\nX-Spam: no\r\n", header].concat();
        if !header.starts_with(b" ") {
            prop_assert_eq!(read(&carried, body, path), letter);
        }
    }

    #[test]
    fn folds_and_order_do_not_count(names in proptest::collection::vec("[a-zA-Z]{1,8}", 1..20), seed in any::<usize>()) {
        let list: Vec<String> = names.iter().map(|n| format!("\"{n}, {n}\" <{n}@firm.example>")).collect();
        let mut folded = list.clone();
        folded.rotate_left(seed % list.len());
        let one = of(&format!("To: {}\r\n", list.join(", ")));
        let other = of(&format!("TO: {}\r\n", folded.join(",\r\n\t")));
        prop_assert_eq!(&one, &other);
        let names: Vec<String> = names.iter().map(|n| format!("{n}@FIRM.example")).collect();
        let mut wanted = hashes(&names.iter().map(String::as_str).collect::<Vec<_>>());
        wanted.dedup();
        prop_assert_eq!(one.addressed, wanted);
        prop_assert_eq!(one.addressed_total as usize, names.len());
    }
}
