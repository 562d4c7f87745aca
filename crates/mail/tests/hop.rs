//! Stamps of the servers that write most of them, in the form that each has, and what `hop` makes
//! of them (`vectors/hops.txt`); and what holds for any bytes at all.

#![allow(clippy::unwrap_used, reason = "a test, its helpers included, fails by panicking")]

use proptest::prelude::*;
use quell_mail::hop::{Hop, HopKind, Word, by_of, for_of, parse, stamp_hash};
use quell_mail::id::QueueId;
use quell_mail::trace::{ReceivedStamp, Tls};

const STAMPS: &str = include_str!("vectors/hops.txt");

/// Fri, 14 Mar 2003 07:24:34 UTC.
const MS: i64 = 1_047_626_674_000;

/// Pairs of a stamp and all that it says.
fn stamps() -> impl Iterator<Item = (&'static str, &'static str)> {
    let blocks = STAMPS.split("\n\n").map(str::trim).filter(|b| !b.is_empty() && !b.starts_with('#'));
    blocks.map(|block| block.split_once('\n').unwrap())
}

/// All words of a hop, by name.
fn words<'a>(hop: &Hop<'a>) -> [(&'static str, Option<Word<'a>>); 12] {
    [
        ("from", hop.from),
        ("helo", hop.helo),
        ("rdns", hop.rdns),
        ("ident", hop.ident),
        ("auth", hop.authenticated),
        ("by", hop.by),
        ("via", hop.via),
        ("with", hop.with),
        ("cipher", hop.tls_cipher),
        ("id", hop.id),
        ("for", hop.for_),
        ("version", hop.software.and_then(|s| s.version)),
    ]
}

/// All that a stamp says but its date.
fn said(hop: &Hop<'_>) -> String {
    let mut parts = vec![format!("{:?}", hop.kind)];
    for (name, word) in words(hop) {
        if name == "version" {
            parts.extend(hop.software.map(|s| format!("software={}", s.name)));
        }
        parts.extend(word.map(|w| format!("{name}={w}")));
    }
    parts.extend(hop.ip.map(|ip| format!("ip={ip}")));
    parts.extend(hop.port.map(|port| format!("port={port}")));
    parts.extend(hop.by_ip.map(|ip| format!("by_ip={ip}")));
    parts.extend(hop.tls_version.map(|version| format!("{version:?}")));
    parts.push(format!("{:?}", hop.protocol));
    parts.extend(hop.for_many.then(|| "many".to_owned()));
    parts.extend((hop.rest > 0).then(|| format!("rest={}", hop.rest)));
    match hop.date_ms {
        Some(MS) => {}
        Some(ms) => parts.push(format!("date={ms}")),
        None => parts.push("no date".to_owned()),
    }
    parts.join(" ")
}

#[test]
fn each_server_is_understood() {
    assert!(stamps().count() > 45);
    for (stamp, wanted) in stamps() {
        assert_eq!(said(&parse(stamp.as_bytes())), wanted, "{stamp}");
        let folded = format!(" {}\r\n", stamp.replace(' ', "\r\n\t "));
        assert_eq!(said(&parse(folded.as_bytes())), wanted, "folded: {stamp}");
        assert_eq!(stamp_hash(folded.as_bytes()), stamp_hash(stamp.as_bytes()));
        assert_short_ways(stamp.as_bytes());
    }
}

/// What is asked of every copy of a storm is what the whole stamp says.
fn assert_short_ways(value: &[u8]) {
    let hop = parse(value);
    assert_eq!(by_of(value), hop.by.unwrap_or_default(), "{:?}", Word(value));
    assert_eq!(for_of(value), hop.for_, "{:?}", Word(value));
}

/// Pieces of stamps, in any order.
const PIECES: [&str; 40] = [
    "from",
    "by",
    "via",
    "with",
    "id",
    "for",
    "mail",
    "pickup",
    "service",
    "[192.0.2.1]",
    "(",
    ")",
    "(by",
    "(uid 7)",
    "(from x by y)",
    "(qmail 1 invoked from network)",
    "(helo=a)",
    "<",
    ">",
    "<a@b.example>",
    "\"",
    "\"by\"",
    ";",
    "; ",
    ",",
    "a.example",
    "authenticated",
    "running",
    "Exim",
    "tls",
    "Sat,",
    "21 Nov 2026",
    "23:20:31",
    "+0000",
    "(UTC)",
    "2021-11-20",
    "\\",
    "\r\n\t",
    "unknown",
    "",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn short_ways_lead_to_the_same(
        pieces in proptest::collection::vec((0..PIECES.len(), "[ ]{0,2}"), 0..24),
        stamp in 0..45_usize,
        cut in any::<prop::sample::Index>(),
    ) {
        let text: String = pieces.iter().map(|(n, space)| format!("{}{space}", PIECES[*n])).collect();
        assert_short_ways(text.as_bytes());
        // Something of anything in the middle of a real one.
        let real = stamps().nth(stamp).map(|(stamp, _)| stamp).unwrap_or_default();
        let at = (0..=cut.index(real.len() + 1)).rev().find(|at| real.is_char_boundary(*at)).unwrap_or(0);
        assert_short_ways(format!("{} {text} {}", &real[..at], &real[at..]).as_bytes());
    }
}

#[test]
fn our_own_stamp_is_understood() {
    let stamp = ReceivedStamp {
        helo: "client.example",
        client_ip: "2001:db8::1".parse().ok(),
        client_name: Some("rev.example"),
        account: None,
        tls: Some(Tls { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" }),
        by: "mx.firm.example",
        with: "ESMTPS",
        queue_id: QueueId::new(1_000, 1, 2),
        token: [0xa5; 16],
        for_: Some("jane@firm.example"),
        ms: MS,
    };
    let field = stamp.field();
    let hop = parse(field.strip_prefix("Received:").unwrap().as_bytes());
    let id = stamp.queue_id;
    assert_eq!(
        said(&hop),
        format!(
            "Transfer from=client.example helo=client.example rdns=rev.example by=mx.firm.example with=ESMTPS \
             cipher=TLS_AES_256_GCM_SHA384 id={id} for=jane@firm.example software=quell ip=2001:db8::1 Tls1_3 Esmtps"
        )
    );
}

#[test]
fn own_machine_and_no_sender() {
    for (stamp, loopback, no_from) in [
        ("from x (localhost [127.0.0.2]) by mx.example", true, false),
        ("from x ([IPv6:::1]) by mx.example", true, false),
        ("from localhost by mx.example", true, false),
        ("from LOCALHOST.localdomain by mx.example", true, false),
        ("from MX.example by mx.example", true, false),
        ("from mx.example ([192.0.2.1]) by mx.example", false, false),
        ("from localhost ([192.0.2.1]) by mx.example", false, false),
        ("by mx.example with SMTP", false, true),
        ("from mail pickup service by mx.example", false, true),
        ("from ([192.0.2.1]) by mx.example", false, false),
        ("", false, true),
    ] {
        let hop = parse(stamp.as_bytes());
        assert_eq!((hop.is_loopback(), hop.has_no_from()), (loopback, no_from), "{stamp}");
    }
}

#[test]
fn a_version_is_no_queue_id() {
    let exchange = b"from a (192.0.2.1) by b (192.0.2.2) with Microsoft SMTP Server id 15.0.1210.3; x";
    assert_eq!((parse(exchange).queue_id(), parse(exchange).id), (None, Some(Word(b"15.0.1210.3"))));
    assert_eq!(parse(b"by b with ESMTP id 4T; x").queue_id(), Some(Word(b"4T")));
}

#[test]
fn words_display_on_one_line() {
    let word = Word(b"Microsoft\r\n\tSMTP  Server\xff");
    assert_eq!(word.to_string(), "Microsoft SMTP Server\u{fffd}");
    assert_eq!(word.lower(), "microsoft smtp server\u{fffd}");
    assert!(Word(b"").is_empty() && Word(b"A").is("a"));
}

/// Quadratic readers take minutes for these, linear ones milliseconds.
#[test]
fn a_megabyte_of_anything_ends() {
    for piece in [
        "(",
        ")",
        "()",
        "(()",
        "from ",
        "by ",
        ";",
        "; ",
        ";1",
        ";(",
        "\"",
        "\" ",
        "\"\\",
        "<",
        "< ",
        "<\"",
        "[",
        "[ ",
        "(\"",
        "([",
        "( by (",
        "1 ",
        "1 Jan 2003 ",
        "Mon, ",
        "; Mon, (x) 1 ",
        "a=",
        "id x with ",
        "for a@b ",
        "with a/TLS/",
        "(x y z) ",
        "(HELO ",
        "\\",
        "(\\",
        "(tls ",
        "with x tls ",
        "\u{fc}",
        "::",
        "(1.2.3.4 ",
        ",",
        "(a invoked (",
    ] {
        let size = if matches!(piece, "(" | "from ") { 1 << 20 } else { 1 << 17 };
        let value = piece.repeat(size / piece.len());
        parse(value.as_bytes());
        parse(format!("from x (y) by z ({value}; Fri, 14 Mar 2003 07:24:34 +0000").as_bytes());
    }
}

fn is_within(word: Word<'_>, value: &[u8]) -> bool {
    let (word, value) = (word.0.as_ptr_range(), value.as_ptr_range());
    value.start <= word.start && word.end <= value.end
}

/// What holds for any value.
fn check(value: &[u8]) -> Result<(), TestCaseError> {
    let hop = parse(value);
    for (name, word) in words(&hop) {
        prop_assert!(word.is_none_or(|w| is_within(w, value)), "{}", name);
    }
    prop_assert!(hop.rest <= value.len());
    prop_assert!(hop.kind != HopKind::Pickup || hop.from.is_none());
    prop_assert!(!matches!(hop.ip, Some(std::net::IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some()));
    let folded = [b"\r\n ", value, b"\r\n"].concat();
    prop_assert_eq!(hop, parse(&folded));
    prop_assert_eq!(stamp_hash(value), stamp_hash(&folded));
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes(value: Vec<u8>) {
        check(&value)?;
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(prop::sample::select(vec![
        "from ", "by ", "with ", "via ", "id ", "for ", "(", ")", "[", "]", "<", ">", "\"", ";", "; ", ",", "@",
        "=", "192.0.2.1", "::1", "IPv6:", "helo=", "HELO ", "ident=", "account ", "AUTH: ", "TLS: ", "tls ",
        "Postfix", "8.12/8.12", "Microsoft SMTP Server", "mail pickup service ", "Fri, 14 Mar 2003 07:24:34 +0000",
        " ", "\r\n\t", "\\", "a.example", "\u{fc}", "uid ", "be ", "user ", "from",
    ]), 0..40)) {
        check(pieces.concat().as_bytes())?;
    }

    #[test]
    fn mutated_stamps(n: prop::sample::Index, at: prop::sample::Index, cut in 0usize..9, put: Vec<u8>) {
        let all: Vec<_> = stamps().collect();
        let mut value = n.get(&all).0.as_bytes().to_vec();
        let at = at.index(value.len());
        let end = value.len().min(at + cut);
        value.splice(at..end, put);
        check(&value)?;
    }
}
