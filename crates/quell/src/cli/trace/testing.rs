//! A report made by hand: a storm of two servers, a retry, a loop, an open question, a list, and
//! strings of somebody who means harm.

use std::net::IpAddr;

use quell_storm::facts::Ms;
use quell_storm::storm::{Culprit, CulpritClass, EvidenceLine};
use quell_storm::trace::report::{
    Comparison, Finding, Group, Point, Report, Role, Side, Stamp, Timeline, Tree, TreeNode,
};

/// 10 December 2005, 09:12:11 UTC.
pub const START: Ms = 1_134_205_931_000;
const MINUTE: Ms = 60_000;

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A stamp, and the field it stands for.
pub fn stamp(from: &str, address: &str, by: &str, id: &str, for_: &str, at_ms: Ms) -> Stamp {
    let date = super::words::format_ms(at_ms, "%a, %-d %b %Y %H:%M:%S +0000");
    let recipient = if for_.is_empty() { String::new() } else { format!(" for <{for_}>") };
    let text =
        format!("from {from} ({from} [{address}]) by {by} (Postfix) with ESMTP id {id}{recipient}; {date}");
    Stamp {
        text,
        by: some(by),
        from: some(from),
        ip: Some(ip(address)),
        id: some(id),
        for_: some(for_),
        at_ms: Some(at_ms),
    }
}

fn pickup(host: &str, at_ms: Ms) -> Stamp {
    let date = super::words::format_ms(at_ms, "%a, %-d %b %Y %H:%M:%S +0000");
    let text = format!("from mail pickup service by {host} with Microsoft SMTPSVC; {date}");
    Stamp { text, by: some(host), from: some("mail pickup service"), at_ms: Some(at_ms), ..Stamp::default() }
}

fn side(file: &str, offset: u64, id: &str, stamps: Vec<Stamp>) -> Side {
    Side { message_id: some(id), file: some(file), offset: Some(offset), stamps }
}

fn node(parent: Option<usize>, name: &str, address: &str, role: Role, copies: u64) -> TreeNode {
    let ip = (!address.is_empty()).then(|| ip(address));
    let recipients = name.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(1);
    TreeNode { parent, name: name.to_owned(), ip, role, copies, recipients, parting: false, came_in: None }
}

fn parting(node: TreeNode, came_in: u64) -> TreeNode {
    TreeNode { parting: true, came_in: Some(came_in), ..node }
}

fn culprit(host: &str, address: &str, class: CulpritClass, copies: u64, share: u16) -> Culprit {
    Culprit {
        host: some(host),
        ip: Some(ip(address)),
        names: vec![host.to_owned()],
        software: None,
        class: Some(class),
        copies: Some(copies),
        share_permille: Some(share),
        confidence_permille: Some(990),
        first_seen_ms: Some(START),
        last_seen_ms: Some(START + 46 * 15 * MINUTE),
        interval_ms: Some(15 * MINUTE),
        evidence: Vec::new(),
    }
}

/// A group without anything in it.
pub fn group(finding: Finding, subject: &str, copies: u64, recipients: u64) -> Group {
    Group {
        key: "5f2c8e0b7a914d36c1e8f0a2b3d4e596".to_owned(),
        subject: subject.to_owned(),
        message_ids: vec!["<offers.17@publisher.example>".to_owned()],
        copies,
        recipients,
        first_seen_ms: Some(START),
        last_seen_ms: Some(START + 47 * 15 * MINUTE),
        culprits: Vec::new(),
        finding,
        words: Vec::new(),
        tree: Tree::default(),
        timeline: Timeline::default(),
        comparisons: Vec::new(),
    }
}

/// Two servers, one behind the other's provider, as in Dublin in 2005.
pub fn storm() -> Group {
    let mut first = culprit("mail.kearney.example", "203.0.113.9", CulpritClass::Resends, 230, 714);
    first.names.push("server.kearney.local".to_owned());
    first.software = some("Microsoft SMTPSVC 6.0.3790.1830");
    first.evidence = vec![
        line(
            "Received: from mail pickup service by server.kearney.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:27:40 +0000",
            48_213,
        ),
        line("To: \"IMB Recipient 1\" <mspop3connector.anna@kearney.example>", 48_790),
    ];
    let mut second = culprit("server", "198.51.100.77", CulpritClass::Resends, 84, 261);
    second.confidence_permille = Some(870);
    second.interval_ms = Some(30 * MINUTE);
    second.first_seen_ms = Some(START + 95 * MINUTE);
    Group {
        culprits: vec![first, second],
        words: vec![
            "Every copy passed one of two servers, and each of them let the same message out many times."
                .to_owned(),
            "The publisher and the providers passed on what they got, once each.".to_owned(),
        ],
        tree: storm_tree(),
        timeline: storm_timeline(),
        comparisons: vec![storm_pair(), lost_pair()],
        ..group(Finding::Culprit, "Your December offers: law books at half price", 322, 7)
    }
}

fn line(text: &str, offset: u64) -> EvidenceLine {
    EvidenceLine { text: text.to_owned(), file: some("copies.mbox"), offset: Some(offset) }
}

fn storm_tree() -> Tree {
    let nodes = vec![
        node(None, "news.publisher.example", "192.0.2.10", Role::Origin, 322),
        node(Some(0), "out3.isp.example", "192.0.2.25", Role::Server, 322),
        parting(node(Some(1), "mail.kearney.example", "203.0.113.9", Role::Culprit(0), 230), 1),
        parting(node(Some(1), "server", "198.51.100.77", Role::Culprit(1), 84), 2),
        node(Some(1), "mx.quiet.example", "192.0.2.66", Role::Server, 8),
        node(Some(2), "smarthost-relay-17.outbound.provider.example", "192.0.2.90", Role::Server, 184),
        node(Some(5), "jane@firm.example", "", Role::Recipients, 92),
        node(Some(5), "3 recipients", "", Role::Recipients, 92),
        node(Some(2), "mx.other.example", "192.0.2.91", Role::Server, 46),
        node(Some(8), "tom@other.example", "", Role::Recipients, 46),
        node(Some(3), "2 recipients", "", Role::Recipients, 84),
        node(Some(4), "1 recipient", "", Role::Recipients, 8),
    ];
    Tree { nodes, left_out: 0 }
}

fn storm_timeline() -> Timeline {
    let first =
        (0..230).map(|n| Point { at_ms: START + (n / 5) * 15 * MINUTE + (n % 5) * 9_000, culprit: Some(0) });
    let second = (0..42).map(|n| Point { at_ms: START + (95 + n * 15) * MINUTE, culprit: Some(1) });
    let others = (0..8).map(|n| Point { at_ms: START + n * 4_000, culprit: None });
    let mut points: Vec<_> = first.chain(second).chain(others).collect();
    points.sort_by_key(|point| point.at_ms);
    Timeline { points }
}

fn storm_pair() -> Comparison {
    let shared = [
        stamp(
            "app1.publisher.example",
            "192.0.2.10",
            "news.publisher.example",
            "8F2A11C0",
            "",
            START - 9 * MINUTE,
        ),
        stamp(
            "news.publisher.example",
            "192.0.2.10",
            "out3.isp.example",
            "1ElXk2-0003Fq-7t",
            "",
            START - 8 * MINUTE,
        ),
        stamp(
            "out3.isp.example",
            "192.0.2.25",
            "pop.provider.example",
            "jBA9CCx7",
            "office@kearney.example",
            START - 7 * MINUTE,
        ),
    ];
    let copy = |at: Ms, id: &str| {
        let own = [
            pickup("server.kearney.local", at),
            stamp(
                "mail.kearney.example",
                "203.0.113.9",
                "mx.firm.example",
                id,
                "jane@firm.example",
                at + 4_000,
            ),
        ];
        shared.iter().cloned().chain(own).collect::<Vec<_>>()
    };
    Comparison {
        culprit: 0,
        what: "The pickup line of server.kearney.local is where they part.".to_owned(),
        recipient: "jane@firm.example".to_owned(),
        left: side("copies.mbox", 41_007, "<offers.17@publisher.example>", copy(START, "4B7D1120A")),
        right: side(
            "copies.mbox",
            48_213,
            "<SERVERx8Kd0000001f@server.kearney.local>",
            copy(START + 15 * MINUTE, "4B7D11A77"),
        ),
        shared: 3,
    }
}

fn lost_pair() -> Comparison {
    let copy = |at: Ms, id: &str| {
        let next = stamp("server", "198.51.100.77", "mx.firm.example", id, "jane@firm.example", at + 2_000);
        vec![pickup("server", at), next]
    };
    Comparison {
        culprit: 1,
        what: String::new(),
        recipient: "jane@firm.example".to_owned(),
        left: side("copies.mbox", 120_400, "<SERVERa1@server>", copy(START + 95 * MINUTE, "7C01")),
        right: side("copies.mbox", 127_700, "<SERVERa2@server>", copy(START + 125 * MINUTE, "7C44")),
        shared: 0,
    }
}

/// One message, sent 26 times because the answer was late.
pub fn retry() -> Group {
    let copies = |n: Ms| {
        vec![
            stamp("pc7.builder.example", "192.0.2.140", "mail.builder.example", "3D51F0", "", START - MINUTE),
            stamp(
                "mail.builder.example",
                "192.0.2.141",
                "mx.firm.example",
                &format!("9A{n:03X}"),
                "tom@firm.example",
                START + n * 8 * MINUTE,
            ),
        ]
    };
    let mut sender = culprit("mail.builder.example", "192.0.2.141", CulpritClass::Retries, 25, 962);
    sender.interval_ms = Some(8 * MINUTE);
    sender.last_seen_ms = Some(START + 200 * MINUTE);
    Group {
        words: vec!["The receiver needed 11 minutes to answer; the sender waited 5.".to_owned()],
        culprits: vec![sender],
        tree: Tree {
            nodes: vec![
                node(None, "pc7.builder.example", "192.0.2.140", Role::Origin, 26),
                parting(node(Some(0), "mail.builder.example", "192.0.2.141", Role::Culprit(0), 26), 1),
                node(Some(1), "mx.firm.example", "192.0.2.1", Role::Server, 26),
                node(Some(2), "tom@firm.example", "", Role::Recipients, 26),
            ],
            left_out: 2,
        },
        timeline: Timeline {
            points: (0..26)
                .map(|n| Point { at_ms: START + n * 8 * MINUTE, culprit: (n > 0).then_some(0) })
                .collect(),
        },
        comparisons: vec![Comparison {
            culprit: 0,
            what: String::new(),
            recipient: "tom@firm.example".to_owned(),
            left: side("tom/cur/1134.eml", 0, "<plan@builder.example>", copies(0)),
            right: side("tom/cur/1142.eml", 0, "<plan@builder.example>", copies(1)),
            shared: 1,
        }],
        last_seen_ms: Some(START + 200 * MINUTE),
        ..group(Finding::Retry, "Plans for the new house", 26, 1)
    }
}

/// A circle without a culprit.
fn circle() -> Group {
    Group {
        words: vec!["Two mailboxes forward to each other.".to_owned()],
        timeline: Timeline { points: vec![Point { at_ms: START, culprit: None }] },
        ..group(Finding::Loop, "Re: Re: Re: out of office", 18, 2)
    }
}

/// Strings that want to be obeyed.
pub const HOSTILE: [&str; 6] = [
    "</title><script>alert(1)</script>",
    "\" onload=\"alert(1)\" x=\"",
    "' onmouseover='alert(1)",
    "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m",
    "\u{202e}gpj.exe\u{2066}\u{200b}\u{feff}\r\nX: y",
    "]]><!-- {{ 7 * 7 }} {% raw %} &lt;b&gt; %3Cb%3E",
];

/// A storm in which every string is `text`.
pub fn all_strings(text: &str) -> Group {
    let text = || text.to_owned();
    let stamp = || Stamp {
        text: text(),
        by: Some(text()),
        from: Some(text()),
        ip: None,
        id: Some(text()),
        for_: Some(text()),
        at_ms: Some(START),
    };
    let side = |n| Side {
        message_id: Some(text()),
        file: Some(text()),
        offset: Some(n),
        stamps: vec![stamp(), Stamp { at_ms: Some(START + 1_000), ..stamp() }],
    };
    let mut guilty = culprit("x", "192.0.2.3", CulpritClass::Injects, 3, 2_000);
    guilty.host = Some(text());
    guilty.names = vec![text(), text() + "2"];
    guilty.software = Some(text());
    guilty.evidence = vec![EvidenceLine { text: text(), file: Some(text()), offset: None }];
    let named = |role, parent| TreeNode { name: text(), ..node(parent, "", "", role, 4) };
    Group {
        key: text(),
        message_ids: vec![text()],
        culprits: vec![guilty],
        words: vec![text()],
        tree: Tree {
            nodes: vec![
                named(Role::Origin, None),
                parting(named(Role::Culprit(0), Some(0)), 1),
                named(Role::Culprit(9), Some(7)),
                named(Role::Recipients, Some(1)),
            ],
            left_out: 0,
        },
        timeline: Timeline {
            points: vec![Point { at_ms: START, culprit: Some(0) }, Point { at_ms: START, culprit: Some(9) }],
        },
        comparisons: vec![
            Comparison {
                culprit: 0,
                what: text(),
                recipient: text(),
                left: side(0),
                right: side(1),
                shared: 1,
            },
            Comparison {
                culprit: 9,
                what: text(),
                recipient: text(),
                left: side(0),
                right: side(1),
                shared: 99,
            },
        ],
        ..group(Finding::Culprit, &text(), 4, 1)
    }
}

/// All of it in one report.
pub fn report() -> Report {
    let list = group(Finding::List, "[dev] Release 2.1", 40, 40);
    let fine =
        Group { first_seen_ms: None, last_seen_ms: None, ..group(Finding::NoCulprit, "Minutes", 2, 1) };
    let open = Group {
        words: vec!["The copies have no stamp in common, and none of them carries a mark.".to_owned()],
        ..group(Finding::CannotTell, "", 3, 1)
    };
    Report {
        messages: 5_120,
        singles: 4_709,
        damaged: 3,
        groups: vec![list, fine, open, storm(), retry(), circle()],
    }
}

/// A report of that group alone.
pub fn only(group: Group) -> Report {
    Report { messages: group.copies, singles: 0, damaged: 0, groups: vec![group] }
}

/// A storm with these times, this tree and these numbers, however mad.
pub fn numbered(times: &[Ms], parents: &[Option<usize>], numbers: (u64, u64, u16, usize)) -> Group {
    let (copies, offset, permille, shared) = numbers;
    let mut group = storm();
    group.copies = copies;
    group.first_seen_ms = times.first().copied();
    group.last_seen_ms = times.last().copied();
    group.timeline.points =
        times.iter().map(|at| Point { at_ms: *at, culprit: Some(offset as usize % 3) }).collect();
    let roles = [Role::Origin, Role::Server, Role::Culprit(shared), Role::Culprit(1), Role::Recipients];
    let machine = |(n, parent): (usize, &Option<usize>)| TreeNode {
        parting: n % 2 == 0,
        came_in: Some(offset),
        ..node(*parent, "mx.example", "", roles[n % roles.len()], copies.rotate_left(n as u32))
    };
    group.tree.nodes = parents.iter().enumerate().map(machine).collect();
    group.tree.left_out = copies;
    for culprit in &mut group.culprits {
        culprit.share_permille = Some(permille);
        culprit.confidence_permille = Some(permille);
        culprit.copies = Some(copies);
        culprit.interval_ms = times.first().copied();
        culprit.first_seen_ms = times.last().copied();
    }
    for pair in &mut group.comparisons {
        pair.shared = shared;
        pair.left.offset = Some(offset);
        pair.left.stamps.iter_mut().zip(times).for_each(|(stamp, at)| stamp.at_ms = Some(*at));
    }
    group
}
