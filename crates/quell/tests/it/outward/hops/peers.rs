//! Postfix, Exim and OpenSMTPD as next hop: mail gets through them as it is, once, over one
//! connection.

use super::*;
use crate::support::peers::aiosmtpd::{self, Script, Scripted};
use crate::support::peers::exim::{self, Exim};
use crate::support::peers::opensmtpd::{self, OpenSmtpd};
use crate::support::peers::postfix::{self, Postfix};
use std::collections::BTreeSet;

/// Recipients of one message: more than go in one transaction.
const MANY: usize = 150;

/// A test message.
struct Message {
    id: &'static str,
    /// As it has to come out.
    content: Vec<u8>,
    /// What the client writes, the final dot included.
    data: Vec<u8>,
}

fn messages() -> Vec<Message> {
    let with = |id: &str, body: &[u8]| {
        let header = message(id, &date_now(), "");
        let header = header.strip_suffix(b"\r\n").expect("an empty body");
        [header, body].concat()
    };
    let bytes: Vec<u8> = (1..=255).filter(|byte| !b"\r\n".contains(byte)).collect();
    let eight_bit = with("bytes", &[&bytes[..], "\r\nGr\u{fc}\u{df}e\r\n".as_bytes()].concat());
    let dots = with("dots", b".\r\n..\r\n...\r\n.x\r\n\r\n.\r\n\r\n.\r\n");
    let line_feeds =
        String::from_utf8(with("line-feeds", b"one\r\n.two\r\n.\r\n..\r\n\r\nlast\r\n")).expect("text");
    let large =
        with("large", &b"0123456789 0123456789 0123456789 0123456789 0123456789 0123456\r\n".repeat(16_384));
    let stuffed = |id, content: Vec<u8>| Message { id, data: dot_stuffed(&content), content };
    // Whoever ends its lines so knows no dots to be stuffed: each has to be on its way out.
    let bare = format!("{}\r\n.\r\n", line_feeds.trim_end().replace("\r\n", "\n"));
    vec![
        stuffed("bytes", eight_bit),
        stuffed("dots", dots),
        Message { id: "line-feeds", content: line_feeds.into_bytes(), data: bare.into_bytes() },
        stuffed("large", large),
        stuffed("many", mail("many")),
    ]
}

/// What a next hop's log says: how many connections brought mail, and how many messages.
struct Seen {
    connections: usize,
    transactions: usize,
}

/// Sends all messages through a next hop that hands them to `end`.
fn sends_all(
    name: &str,
    directory: &TempDir,
    port: u16,
    smart_host: bool,
    end: &Scripted,
    seen: impl Fn() -> Seen,
) {
    let next_hop = format!("smtp://127.0.0.1:{port}");
    let one_session = "max_sessions_per_next_hop = 1\n";
    let mut server = match smart_host {
        true => server(directory, &[], &format!("[relay]\nvia = \"{next_hop}\"\n{one_session}")),
        false => server(directory, &[("far.example", &next_hop)], &format!("[relay]\n{one_session}")),
    };
    let many: Vec<String> = (0..MANY).map(|n| format!("many{n:03}@far.example")).collect();
    let messages = messages();
    for message in &messages {
        let all = || many.iter().map(String::as_str).collect();
        let to: Vec<&str> = if message.id == "many" { all() } else { vec!["jane@far.example"] };
        submit_data(&server, &format!("MAIL FROM:<{FROM}>"), &to, &message.data);
    }
    let expected = messages.len() - 1 + MANY;
    let came =
        wait_until(LIMIT, || end.counts().values().map(|count| count.taken).sum::<usize>() >= expected);
    assert!(came, "{name}: {:?}\n{}", end.counts(), server.output());
    crate::operate::wait_for_empty_queue(&server);
    assert_whole(name, end, &messages);
    // It takes leave of the next hop, whose log is whole then.
    assert_eq!(server.term().code(), Some(0), "{}", server.output());
    let transactions = messages.len() + 1;
    let said = wait_until(LIMIT, || seen().transactions >= transactions);
    let seen = seen();
    eprintln!("{name}: {} transactions over {} connection(s)", seen.transactions, seen.connections);
    assert!(said && (seen.connections, seen.transactions) == (1, transactions), "{name}");
    let relayed = server.output().lines().filter(|line| line.contains("\"event\":\"relayed\"")).count();
    assert_eq!(relayed, expected, "{name}: {}", server.output());
}

/// Each message came to each recipient once, and below the trace of both servers byte for byte.
fn assert_whole(name: &str, end: &Scripted, messages: &[Message]) {
    let mut times: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (to, sending) in end.deliveries() {
        let test_id = sending.field("X-Test-Id").expect("a test message");
        let message = messages.iter().find(|message| message.id == test_id).expect("one of ours");
        let trace = sending.content.strip_suffix(&message.content[..]);
        let trace =
            trace.unwrap_or_else(|| panic!("{name}: {test_id} was changed: {}", shortened(&sending.content)));
        let trace = std::str::from_utf8(trace).expect("text");
        let fields = trace.lines().filter(|line| !line.starts_with([' ', '\t']));
        let names: Vec<&str> = fields.map(|line| line.split(':').next().expect("a name")).collect();
        assert_eq!(names, ["Received", "Received"], "{name}: {trace}");
        *times.entry((to, test_id)).or_default() += 1;
    }
    assert_eq!(times.len(), messages.len() - 1 + MANY, "{name}: {times:?}");
    assert!(times.values().all(|times| *times == 1), "{name}: {times:?}");
}

fn shortened(content: &[u8]) -> String {
    String::from_utf8_lossy(&content[..content.len().min(3000)]).into_owned()
}

#[test]
fn postfix_gets_all_as_it_is() {
    if !(postfix::available() && aiosmtpd::available()) {
        return;
    }
    let directory = TempDir::new("hops-postfix");
    let end = Scripted::start(&directory, &Script::default());
    let postfix = Postfix::start(&directory, end.port);
    // `disconnect from unknown[127.0.0.1] ehlo=1 mail=6 rcpt=155 data=6 quit=1 commands=169`
    let seen = || {
        let log = postfix.log();
        let mails = log.lines().filter(|line| line.contains("smtpd[") && line.contains(": disconnect from "));
        let mails =
            mails.filter_map(|line| line.split(" mail=").nth(1)?.split(' ').next()?.parse::<usize>().ok());
        let mails: Vec<usize> = mails.collect();
        Seen { connections: mails.len(), transactions: mails.iter().sum() }
    };
    sends_all("Postfix", &directory, postfix.port, true, &end, seen);
}

#[test]
fn exim_gets_all_as_it_is() {
    if !(exim::available() && aiosmtpd::available()) {
        return;
    }
    let directory = TempDir::new("hops-exim");
    let end = Scripted::start(&directory, &Script::default());
    let exim = Exim::start(&directory, end.port);
    // `<= jane@firm.example H=(mx.firm.example) [127.0.0.1]:41234 P=esmtp`
    let seen = || {
        let log = exim.log();
        let arrivals: Vec<&str> = log.lines().filter(|line| line.contains(" <= ")).collect();
        let port = |line: &&str| {
            line.split("[127.0.0.1]:").nth(1).map(|rest| rest.split(' ').next().map(str::to_owned))
        };
        let ports: BTreeSet<_> = arrivals.iter().filter_map(port).collect();
        Seen { connections: ports.len(), transactions: arrivals.len() }
    };
    sends_all("Exim", &directory, exim.port, false, &end, seen);
}

#[test]
fn opensmtpd_gets_all_as_it_is() {
    if !(opensmtpd::available() && aiosmtpd::available()) {
        return;
    }
    let directory = TempDir::new("hops-opensmtpd");
    let end = Scripted::start(&directory, &Script::default());
    let opensmtpd = OpenSmtpd::start(&directory, end.port);
    // `0123456789abcdef smtp message msgid=01234567 size=..`
    let seen = || {
        let log = opensmtpd.log();
        let messages: Vec<&str> = log.lines().filter(|line| line.contains(" smtp message msgid=")).collect();
        let session = |line: &&str| {
            line.split(" smtp message").next().and_then(|front| front.rsplit(' ').next()).map(str::to_owned)
        };
        let sessions: BTreeSet<_> = messages.iter().filter_map(session).collect();
        Seen { connections: sessions.len(), transactions: messages.len() }
    };
    sends_all("OpenSMTPD", &directory, opensmtpd.port, false, &end, seen);
}
