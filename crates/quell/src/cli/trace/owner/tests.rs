//! Nothing of people leaves the house, whatever the engine puts where.

use proptest::prelude::*;

use super::super::html::{PageOptions, page};
use super::super::testing::{START, all_strings, only, storm};
use super::super::text::{TextOptions, text};
use super::*;

/// Stamps of real servers' forms with a place `@@` for what must not be seen.
pub const STAMPS: [&str; 22] = [
    "from a.example (a.example [192.0.2.1]) by mx.example (Postfix) with ESMTP id 4B7D for <@@@firm.example>; Sat, 10 Dec 2005 09:12:11 +0000",
    "from a.example ([192.0.2.1]) (authenticated sender: @@) by mx.example (Postfix) with ESMTPSA id 4B7D; Sat, 10 Dec 2005 09:12:11 +0000",
    "from a.example ([192.0.2.1] helo=b.example ident=@@) by mx.example with esmtp (Exim 4.94) (envelope-from <@@@c.example>) id 1ElX for @@@firm.example; Sat, 10 Dec 2005 09:12:11 +0000",
    "from @@ by mx.example with local (Exim 4.50) id 1ElX; Sat, 10 Dec 2005 09:12:11 +0000",
    "(from @@@localhost) by mx.example (8.13.8/8.13.8/Submit) id jBA9; Sat, 10 Dec 2005 09:12:11 GMT",
    "from a.example (@@@a.example [192.0.2.1] (may be forged)) by mx.example (8.13.8) with ESMTP id jBA9 for <@@@x>; Sat, 10 Dec 2005 09:12:11 GMT",
    "from unknown (HELO a.example) (@@@192.0.2.1) by mx.example with SMTP; 10 Dec 2005 09:12:11 -0000",
    "(qmail 1234 invoked by uid 501); 10 Dec 2005 09:12:11 -0000 (@@)",
    "from a.example by mx.example (account @@@firm.example HELO [192.0.2.1]) with ESMTPA id 55; Sat, 10 Dec 2005 09:12:11 +0000",
    "by 2002:a05:6000::1 with SMTP id a1csp1 for <@@@firm.example> (@@); Sat, 10 Dec 2005 09:12:11 -0800 (PST)",
    "from mail pickup service by HOST with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:12:11 +0000 @@",
    "from a.example (192.0.2.1) by b.example with Microsoft SMTP Server id 15.20.1.2 via Frontend Transport (@@); Sat, 10 Dec 2005 09:12:11 +0000",
    "from pop.example by localhost with POP3 (fetchmail-6.2.5) for @@@localhost (single-drop); Sat, 10 Dec 2005 09:12:11 +0000",
    "by mx.example (Postfix, from userid @@) id 4B7D; Sat, 10 Dec 2005 09:12:11 +0000",
    "from a.example (EHLO b.example) by mx.example with ESMTP id <@@@a.example>; Sat, 10 Dec 2005 09:12:11 +0000",
    "from a.example by mx.example id 1 (ORCPT rfc822;@@@firm.example); Sat, 10 Dec 2005 09:12:11 +0000",
    "from a.example (Client CN \"@@\", Issuer \"@@\" (verified OK)) by mx.example with ESMTPS id 1; Sat, 10 Dec 2005",
    "from a.example by mx.example with ESMTP id 1 for <\"@@ by @@ with\"@firm.example>; Sat, 10 Dec 2005 09:12:11",
    "from a.example (login @@) by mx.example; Sat, 10 Dec 2005",
    "from @@@a.example by @@@mx.example with @@ id @@@x; @@",
    "from a.example (@@) by mx.example (@@) with SMTP (@@) id 1 (@@); 10 Dec 2005 (@@",
    "from a.example by mx.example with SMTP id 1\r\n\tfor <@@@firm.example>\r\n\t(envelope-from @@@b.example); 10 Dec 2005",
];

/// Other lines and sentences an engine may quote.
const LINES: [&str; 12] = [
    "Subject: @@",
    "To: \"IMB Recipient 1\" <mspop3connector.@@@firm.example>",
    "From: @@ <@@@firm.example>",
    "Message-ID: <@@@server.local>",
    "The copies for @@ part here.",
    "X-Mailer: @@",
    "X-Mailer: Microsoft CDO for @@",
    "Delivered-To: @@@firm.example",
    "Return-Path: <@@@firm.example>",
    "@@",
    "by the way, @@ wrote",
    "X-Anything: @@",
];

#[test]
fn what_is_about_machines_stays() {
    let kept = STAMPS.map(|stamp| hop_line(&stamp.replace("@@", "secret")));
    for wanted in [
        "a.example ([192.0.2.1] helo=b.example)",
        "id 4B7D;",
        "Microsoft SMTPSVC; Sat, 10 Dec 2005 09:12:11 +0000",
    ] {
        assert!(kept.iter().any(|line| line.contains(wanted)), "{wanted}: {kept:#?}");
    }
    assert_eq!(
        kept[0],
        "from a.example (a.example [192.0.2.1]) by mx.example (Postfix) with ESMTP id 4B7D; Sat, 10 Dec 2005 09:12:11 +0000"
    );
    assert_eq!(
        kept[3],
        "from … by mx.example with local (Exim 4.50) id 1ElX; Sat, 10 Dec 2005 09:12:11 +0000"
    );
}

/// A report in which every place that may hold something of people holds `secret`.
fn telling(secret: &str) -> Report {
    let fill = |form: &str| form.replace("@@", secret);
    let mut group = storm();
    group.subject = fill("Dear @@");
    group.key = fill("@@");
    group.words = vec![fill("@@ got it 46 times.")];
    group.message_ids = vec![fill("<@@@publisher.example>")];
    for culprit in &mut group.culprits {
        culprit.names = vec![fill("@@@mail.example"), fill("<@@>")];
        culprit.software = Some(fill("Postfix (@@)"));
        let lines = STAMPS.iter().flat_map(|stamp| [fill(stamp), fill("Received: ") + &fill(stamp)]);
        let lines = lines.chain(LINES.iter().map(|line| fill(line)));
        culprit.evidence =
            lines.map(|text| EvidenceLine { text, file: Some(fill("@@.mbox")), offset: Some(7) }).collect();
    }
    for node in &mut group.tree.nodes {
        node.name =
            if node.role == Role::Recipients { fill("@@@firm.example") } else { fill("@@@mx.example") };
    }
    for pair in &mut group.comparisons {
        pair.what = fill("Look at @@.");
        pair.recipient = fill("@@@firm.example");
        for side in [&mut pair.left, &mut pair.right] {
            side.file = Some(fill("mail/@@/mbox"));
            side.message_id = Some(fill("<@@@server.local>"));
            side.stamps = STAMPS
                .iter()
                .map(|stamp| Stamp {
                    text: fill(stamp),
                    by: Some(fill("@@@mx.example")),
                    from: Some(fill("@@@a.example")),
                    ip: None,
                    id: Some(fill("@@@id.example")),
                    for_: Some(fill("<@@@firm.example>")),
                    at_ms: Some(START),
                })
                .collect();
        }
    }
    let bad = Group { words: vec![fill("@@")], culprits: Vec::new(), ..group.clone() };
    Report { groups: vec![group, bad], ..Report::default() }
}

fn shown(report: &Report) -> Vec<String> {
    let options = PageOptions { for_owner: Some(Owner::Any), made_ms: START, version: "0".to_owned() };
    let one = PageOptions { for_owner: Some(Owner::Of("203.0.113.9".to_owned())), ..options.clone() };
    let terminal = TextOptions { width: 140, colour: false, all: true };
    vec![
        page(report, &options),
        page(report, &one),
        text(&strip(report), &terminal),
        format!("{:?}", strip(report)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Local parts as people have them, with a letter that no word of ours and no key holds.
    #[test]
    fn no_secret_leaves_the_house(secret in "[a-z0-9]{0,6}[.+_-]?q[a-z]{1,4}zq[.]?[a-z0-9]{0,4}") {
        for page in shown(&telling(&secret)) {
            let place = page.find(&secret);
            prop_assert!(place.is_none(), "{}: {}", secret, &page[place.unwrap_or(0).saturating_sub(120)..][..200]);
        }
    }

    #[test]
    fn a_line_of_anything_gives_no_local_part(before in any::<String>(), after in any::<String>(), form in 0..STAMPS.len()) {
        for text in [format!("{before} zqsecret@firm.example {after}"), STAMPS[form].replace("@@", &before), before.clone()] {
            let line = hop_line(&text);
            prop_assert!(!line.contains("zqsecret"), "{}", line);
            prop_assert_eq!(line.matches('@').count(), line.matches("…@").count(), "{}", line);
            prop_assert!(!line.chars().any(|c| "<>\"\\".contains(c)) || line.contains("<…@"), "{}", line);
        }
    }
}

#[test]
fn the_test_can_fail() {
    let ours = PageOptions { for_owner: None, made_ms: START, version: "0".to_owned() };
    assert!(page(&telling("jqaazq"), &ours).contains("jqaazq"));
    assert!(shown(&only(all_strings("zqsecret@firm.example"))).iter().all(|page| !page.contains("zqsecret")));
}

#[test]
fn a_message_id_keeps_the_house_and_not_the_computer() {
    assert_eq!(message_id("<1@server.kearney.local>"), "<…@server.kearney.local>");
    assert_eq!(message_id("<1@JANES-PC>"), "<…@…>");
}
