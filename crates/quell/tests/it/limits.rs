//! Limits: size, number, names, and what they cost.

use crate::support::process::{run, try_run};
use crate::support::server::config;
use crate::support::smtp::{self, Client, Reply};
use crate::support::{Server, TempDir, maildir, wait_until};
use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod large;

const FROM: &str = "sender@client.example";
const JANE: &str = "jane@firm.example";
/// Liveness only.
const LIMIT: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;

/// `[smtp]` with more lines in it.
fn smtp_with(lines: &str, more: &str) -> String {
    config(more).replacen("[smtp]\n", &format!("[smtp]\n{lines}\n"), 1)
}

/// 127.0.0.1 is a client from outside, and only jane and john exist.
fn strict(more: &str) -> String {
    let config = config(&format!("[relay]\nfrom = [\"10.0.0.0/8\"]\n{more}"));
    config.replace(r#"["jane", "*"]"#, r#"["jane", "john"]"#)
}

fn jane(server: &Server) -> PathBuf {
    server.maildir("firm.example", "jane")
}

fn wait_for(maildir: &Path, count: usize) {
    wait_until(LIMIT, || maildir::count(maildir) >= count);
    assert_eq!(maildir::count(maildir), count, "{}", maildir.display());
}

/// Code and enhanced status, as `550 5.1.1`.
fn status(reply: &Reply) -> String {
    let status = reply.lines[0].split(' ').next().unwrap_or_default();
    format!("{} {status}", reply.code)
}

fn says(client: &mut Client, line: &str) -> String {
    status(&client.command(line).expect("a reply"))
}

/// All directories below one.
fn directories(below: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(below).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            directories(&path, found);
            found.insert(path);
        }
    }
}

fn all_directories(below: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    directories(below, &mut found);
    found
}

/// Local parts that want out of the folder.
const ESCAPING: [&str; 12] = [
    "../../x",
    "\"../../x\"",
    "..",
    ".",
    "\"..\"",
    "\"../jane/../../x\"",
    "jane/../../../x",
    "\"/etc/passwd\"",
    "\".hidden\"",
    "%2e%2e%2fx",
    "\"x\\/../../y\"",
    "\"a b/../c\"",
];

#[test]
fn names_stay_inside() {
    // In a directory of its own, so that one step out of the data would be seen.
    let directory = TempDir::new("escape");
    let server = Server::start(&directory, &config(""));
    let before = all_directories(directory.path());
    let (mut client, mut taken) = (Client::hello(server.smtp_port), 0);
    for local in ESCAPING {
        let message = smtp::message(&format!("e{taken}"), &smtp::date_now(), "x");
        let reply = client.send(FROM, &[&format!("{local}@firm.example")], &message).expect("a reply");
        match reply.code {
            250 => taken += 1,
            code => assert!(code == 501 || code == 550, "{local}: {reply:?}"),
        }
        assert_eq!(says(&mut client, "RSET"), "250 2.0.0");
    }
    for path in ["x@../..", "x@firm.example/../..", "x@firm.example\0/..", "../../x"] {
        assert!(!client.send(FROM, &[path], b"x\r\n").expect("a reply").is_ok(), "{path}");
        assert_eq!(says(&mut client, "RSET"), "250 2.0.0");
    }
    assert!(taken >= 6, "the catch-all takes what is an address: {taken}");
    wait_for(&jane(&server), taken);
    assert_eq!(all_directories(directory.path()), before, "no mail makes a directory");
}

#[test]
fn a_mailbox_named_like_a_path_stays_inside() {
    let directory = TempDir::new("escape-made");
    // Without a list, whoever has a mailbox exists.
    let config = config("").replace("recipients = [\"jane\", \"*\"]\n", "");
    let server = Server::start(&directory, &config);
    let before = all_directories(directory.path());
    run(&mut server.command(&["mailbox", "add", "\"../../x\"@firm.example"]));
    let (ok, said) = try_run(&mut server.command(&["mailbox", "add", "x@../.."]));
    assert!(!ok, "{said}");
    let message = smtp::message("in", &smtp::date_now(), "x");
    let replies = smtp::send_all(server.smtp_port, FROM, &["\"../../X\"@firm.example"], &[message]);
    assert_eq!(replies[0].code, 250, "{replies:?}");
    let made = server.maildir("firm.example", "%2E.%2F..%2Fx");
    wait_for(&made, 1);
    let after = all_directories(directory.path());
    let new: Vec<&PathBuf> = after.difference(&before).collect();
    assert!(new.len() == 4 && new.iter().all(|path| path.starts_with(&made)), "{new:?}");
}

#[test]
fn only_our_domains_and_known_names() {
    let directory = TempDir::new("who");
    let server = Server::start(&directory, &strict(""));
    let mut client = Client::hello(server.smtp_port);
    assert_eq!(says(&mut client, &format!("MAIL FROM:<{FROM}>")), "250 2.1.0");
    let outside = [
        ("jane@firm.example", "250 2.1.5"),
        ("JANE@Firm.Example", "250 2.1.5"),
        ("\"jane\"@firm.example", "250 2.1.5"),
        ("jane+detail@firm.example", "250 2.1.5"),
        ("postmaster", "250 2.1.5"),
        ("Postmaster@firm.example", "250 2.1.5"),
        ("\"postMaster\"@FIRM.example", "250 2.1.5"),
        ("nobody@firm.example", "550 5.1.1"),
        ("jane@sub.firm.example", "550 5.7.1"),
        ("jane@other.example", "550 5.7.1"),
        ("postmaster@other.example", "550 5.7.1"),
        ("jane@[127.0.0.1]", "550 5.7.1"),
        ("@relay.example:jane@firm.example", "550 5.7.1"),
        ("@firm.example:jane@other.example", "550 5.7.1"),
        ("jane%other.example@firm.example", "550 5.7.1"),
        ("other.example!jane@firm.example", "550 5.7.1"),
        ("jane%firm.example", "501 5.1.3"),
        ("jane@other.example@firm.example", "501 5.1.3"),
        ("", "501 5.1.3"),
    ];
    for (path, expected) in outside {
        assert_eq!(says(&mut client, &format!("RCPT TO:<{path}>")), expected, "{path}");
    }
    client.quit().expect("a reply");
    // Our own machines may use routes, and send to other domains.
    let directory = TempDir::new("who-inside");
    let server = Server::start(&directory, &config(""));
    let mut client = Client::hello(server.smtp_port);
    assert_eq!(says(&mut client, &format!("MAIL FROM:<{FROM}>")), "250 2.1.0");
    let inside = [
        ("@relay.example:jane@firm.example", "250 2.1.5"),
        ("jane@other.example", "250 2.1.5"),
        ("@firm.example:jane@other.example", "250 2.1.5"),
        ("jane@[192.0.2.1]", "550 5.1.2"),
        ("jane@[192.0.2.256]", "501 5.1.3"),
    ];
    for (path, expected) in inside {
        assert_eq!(says(&mut client, &format!("RCPT TO:<{path}>")), expected, "{path}");
    }
}

/// Without a mailbox, an alias or a setting for it: the first domain has one nevertheless.
#[test]
fn postmaster_always_works() {
    let directory = TempDir::new("postmaster");
    let config = strict("").replace("postmaster = \"jane@firm.example\"\n", "");
    let server = Server::start(&directory, &config);
    let message = smtp::message("p", &smtp::date_now(), "x");
    for (sent, to) in ["postmaster", "POSTMASTER@firm.example"].into_iter().enumerate() {
        let text = [&message[..], to.as_bytes(), b"\r\n"].concat();
        let replies = smtp::send_all(server.smtp_port, "", &[to], &[text]);
        assert_eq!(replies[0].code, 250, "{to}: {replies:?}");
        wait_for(&server.maildir("firm.example", "postmaster"), sent + 1);
    }
}

/// 100,000 guesses over five connections.
#[test]
fn a_dictionary_finds_nothing_and_costs_nothing() {
    const CONNECTIONS: usize = 5;
    const TRANSACTIONS: usize = 40;
    const GUESSES: usize = 500;
    let directory = TempDir::new("dictionary");
    let server = Server::start(&directory, &strict(""));
    let before = all_directories(directory.path());
    server.reset_peak();
    let resident = server.resident_bytes();
    let port = server.smtp_port;
    let guess = |connection: usize| {
        let mut client = Client::hello(port);
        for transaction in 0..TRANSACTIONS {
            let mut lines = vec![format!("MAIL FROM:<{FROM}>")];
            let name = |n| format!("RCPT TO:<user{connection}.{transaction}.{n}@firm.example>");
            lines.extend((0..GUESSES).map(name));
            lines.push("DATA".to_owned());
            lines.push("RSET".to_owned());
            let replies = client.pipelined(&lines).expect("replies");
            assert_eq!(replies[0].code, 250);
            assert!(
                replies[1..=GUESSES].iter().all(|reply| status(reply) == "550 5.1.1"),
                "{:?}",
                replies[1]
            );
            assert_eq!(status(&replies[GUESSES + 1]), "554 5.5.1");
        }
        client.quit().expect("a reply");
    };
    std::thread::scope(|scope| {
        (0..CONNECTIONS).for_each(|connection| drop(scope.spawn(move || guess(connection))));
    });
    let grown = server.peak_bytes().saturating_sub(resident);
    eprintln!("100,000 unknown recipients: {} KiB more memory at most", grown / 1024);
    assert!(grown < 16 * MIB, "{grown}");
    assert_eq!(all_directories(directory.path()), before, "no mail makes a directory");
    let rows = run(&mut server.command(&["queue", "list", "--json"]));
    assert!(!rows.contains("\"rcpt\""), "no bounce, nothing waits: {rows}");
    assert_eq!(maildir::count(&jane(&server)) + maildir::count(&server.maildir("firm.example", "john")), 0);
    let mut client = Client::hello(port);
    assert_eq!(client.send("", &["postmaster"], b"X-Test-Id: p\r\n\r\n").expect("a reply").code, 250);
    wait_for(&jane(&server), 1);
}

#[test]
fn sizes_are_limited() {
    let directory = TempDir::new("sizes");
    let lines = "max_message_bytes = 300000\nmax_header_bytes = 70000\nmax_errors = 100";
    let server = Server::start(&directory, &smtp_with(lines, ""));
    let mut client = Client::hello(server.smtp_port);
    let ehlo = client.command("EHLO client.example").expect("a reply");
    assert!(ehlo.lines.iter().any(|line| line == "SIZE 300000"), "{ehlo:?}");
    assert_eq!(says(&mut client, &format!("MAIL FROM:<{FROM}> SIZE=300001")), "552 5.3.4");
    let header = "From: <a@client.example>\r\nX-Test-Id: ";
    let body = |id: &str, bytes: usize| {
        let head = format!("{header}{id}\r\n\r\n");
        let line = b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
        let text = line.iter().copied().cycle().take(bytes - head.len() - 2);
        [head.as_bytes(), &text.collect::<Vec<u8>>(), b"\r\n"].concat()
    };
    let head = |id: &str, bytes: usize| {
        let start = format!("{header}{id}\r\nSubject: ");
        [start.as_bytes(), &vec![b'x'; bytes - start.len() - 4], b"\r\n\r\n"].concat()
    };
    // The empty line and its CRLF are not the header's.
    let cases = [
        ("body at the limit", body("b1", 300_000), "250 2.0.0"),
        ("body over it", body("b2", 300_001), "552 5.3.4"),
        ("body far over it", body("b3", 500_000), "552 5.3.4"),
        ("header below the limit", head("h1", 69_900), "250 2.0.0"),
        ("header over it", head("h2", 70_100), "552 5.3.4"),
        ("header far over it", head("h3", 290_000), "552 5.3.4"),
    ];
    for (what, message, expected) in &cases {
        let mut message = message.clone();
        if message.ends_with(b"\r\r\n") {
            message.truncate(message.len() - 3);
            message.extend_from_slice(b"y\r\n");
        }
        let by_data = client.send(FROM, &[JANE], &message).expect("a reply");
        assert_eq!(status(&by_data), *expected, "DATA, {what}");
        let mail = format!("MAIL FROM:<{FROM}>");
        let chunks = client.send_chunks(&mail, &[JANE], &message, 65_536).expect("replies");
        assert_eq!(status(chunks.last().expect("a reply")), *expected, "BDAT, {what}");
        assert_eq!(says(&mut client, "RSET"), "250 2.0.0", "the session goes on");
    }
    wait_for(&jane(&server), 4);
    let counts = maildir::counts(&jane(&server));
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [("b1".to_owned(), 2), ("h1".to_owned(), 2)]);
    assert_eq!(std::fs::read_dir(server.data.join("spool")).expect("a spool").filter(large).count(), 0);
}

fn large(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("big-"))
}

#[test]
fn commands_are_limited() {
    let directory = TempDir::new("commands");
    let server = Server::start(
        &directory,
        &smtp_with("max_recipients = 1000\nmax_commands = 2000\nmax_errors = 10", ""),
    );
    let mut client = Client::hello(server.smtp_port);
    let filler = |bytes: usize| format!("NOOP {}", "x".repeat(bytes - "NOOP \r\n".len()));
    assert_eq!(says(&mut client, &filler(4096)), "250 2.0.0");
    assert_eq!(says(&mut client, &filler(4097)), "500 5.5.2");
    // What lies beyond 4 KiB of one line is no command, wherever it is cut.
    client.raw(format!("{}QUIT\r\nNOOP\r\n", "x".repeat(65_536)).as_bytes()).expect("written");
    assert_eq!(status(&client.reply().expect("a reply")), "500 5.5.2");
    assert_eq!(status(&client.reply().expect("a reply")), "250 2.0.0");
    let mut replies = Vec::new();
    while let Ok(reply) = client.command("NONSENSE") {
        replies.push(status(&reply));
    }
    assert_eq!(replies.len(), 8, "two errors before: {replies:?}");
    assert_eq!(replies.last().map(String::as_str), Some("421 4.7.0"), "{replies:?}");
    let mut client = Client::hello(server.smtp_port);
    client.raw("NOOP\r\n".repeat(2_100).as_bytes()).expect("written");
    let said = client.rest();
    assert!(
        said.matches("250 ").count() < 2_000 && said.lines().last().is_some_and(|l| l.starts_with("421 "))
    );
}

#[test]
fn connections_are_limited() {
    let directory = TempDir::new("connections");
    let lines = "max_connections = 7\nmax_connections_per_address = 4";
    let config = smtp_with(lines, "").replace("{smtp}\"", "{smtp}\", \"[::1]:{smtp}\"");
    let server = Server::start(&directory, &config);
    let port = server.smtp_port;
    let v6 = || Client::connect_to(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).expect("a greeting");
    let v4 = || Client::connect(port).expect("a greeting");
    // The probe for the greeting may still be counted.
    let mut first = Vec::new();
    assert!(wait_until(LIMIT, || {
        first.extend(Some(v4()).filter(|(_, greeting)| greeting.code == 220));
        first.len() == 4
    }));
    let (client, refusal) = v4();
    assert_eq!((status(&refusal), client.rest()), ("421 4.7.0".to_owned(), String::new()));
    let others: Vec<_> = (0..3).map(|_| v6()).collect();
    assert!(others.iter().all(|(_, greeting)| greeting.code == 220), "another address has room");
    assert_eq!(status(&v6().1), "421 4.7.0", "seven in all");
    drop(first);
    assert!(wait_until(LIMIT, || v6().1.code == 220), "there is room again");
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.contains("quell_turned_away_total{why=\"address\"}"), "{metrics}");
}

#[test]
fn silent_and_slow_clients_are_sent_away() {
    let directory = TempDir::new("slow");
    let lines = "idle_secs = 2\nleast_rate_bytes_per_sec = 2000";
    let server = Server::start(&directory, &smtp_with(lines, ""));
    let port = server.smtp_port;
    let begun = move || {
        let mut client = Client::hello(port);
        let lines = [format!("MAIL FROM:<{FROM}>"), format!("RCPT TO:<{JANE}>"), "DATA".to_owned()];
        client.pipelined(&lines).expect("replies");
        client
    };
    let idle = move || Client::hello(port).rest();
    let idle_in_data = move || {
        let mut client = begun();
        client.raw(b"Subject: half\r\n").expect("written");
        client.rest()
    };
    let slow = move || {
        let mut client = begun();
        let start = Instant::now();
        while start.elapsed() < LIMIT && client.raw(b"Subject: slow\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(start.elapsed() < LIMIT);
        client.rest()
    };
    let steady = move || {
        let mut client = begun();
        client.raw(b"X-Test-Id: steady\r\n\r\n").expect("written");
        for _ in 0..24 {
            client.raw(&b"0123456789\r\n".repeat(400)).expect("written: fast enough");
            std::thread::sleep(Duration::from_millis(250));
        }
        client.raw(b".\r\n").expect("written");
        status(&client.reply().expect("a reply"))
    };
    // Open for longer than idle_secs, never silent for so long, and then a small mail.
    let patient = move || {
        let mut client = Client::hello(port);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1_200));
            client.command("NOOP").expect("a reply");
        }
        let message = smtp::message("patient", &smtp::date_now(), "small\r\n");
        status(&client.send(FROM, &[JANE], &message).expect("a reply"))
    };
    let threads = [
        std::thread::spawn(idle),
        std::thread::spawn(idle_in_data),
        std::thread::spawn(slow),
        std::thread::spawn(steady),
        std::thread::spawn(patient),
    ];
    let said = threads.map(|thread| thread.join().expect("no panic"));
    assert!(said[0].starts_with("421 4.4.2 ") && said[1].starts_with("421 4.4.2 "), "{said:?}");
    // The reply may be lost when the client sends on into a closed connection.
    assert!(said[2].is_empty() || said[2].starts_with("421 4.4.2 "), "{said:?}");
    assert_eq!(said[3], "250 2.0.0", "three times idle_secs, and never too slow");
    assert_eq!(said[4], "250 2.0.0", "what it did before its transfer is not slowness");
    wait_for(&jane(&server), 2);
    let there = maildir::counts(&jane(&server));
    assert_eq!(there.into_keys().collect::<Vec<_>>(), ["patient", "steady"], "nothing half is delivered");
}
