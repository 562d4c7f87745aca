//! Real mail programs send to quell, and read what it delivered.

use crate::support::peers::{dovecot, exim, mutt, opensmtpd, postfix, smtp_source, swaks};
use crate::support::server::config;
use crate::support::smtp::{self, Client, Reply};
use crate::support::{Server, TempDir, maildir, wait_until};
use std::path::{Path, PathBuf};
use std::time::Duration;

const FROM: &str = "sender@client.example";
const JANE: &str = "jane@firm.example";
const BOTH: [&str; 2] = [JANE, "john@firm.example"];
/// Liveness only: every wait ends as soon as the mail is there.
const LIMIT: Duration = Duration::from_secs(60);

fn server(name: &str) -> (TempDir, Server) {
    let directory = TempDir::new(name);
    let config = config("").replace(r#"["jane", "*"]"#, r#"["jane", "john", "jürgen"]"#);
    let server = Server::start(&directory, &config);
    (directory, server)
}

fn jane(server: &Server) -> PathBuf {
    server.maildir("firm.example", "jane")
}

fn wait_for(maildir: &Path, count: usize) {
    let came = wait_until(LIMIT, || maildir::count(maildir) >= count);
    assert!(came, "{} instead of {count} in {}", maildir::count(maildir), maildir.display());
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(maildir::count(maildir), count, "{}", maildir.display());
}

/// What the file of a message has below our own fields: LF, and no Return-Path field of others.
/// Written without regard to how quell does it.
fn in_maildir(message: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = replace(message, b"\r\n", b"\n");
    let (mut out, mut dropping, mut in_header) = (Vec::new(), false, true);
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if in_header && line == b"\n" {
            in_header = false;
        }
        if in_header && !(number > 0 && line.starts_with(b" ") || line.starts_with(b"\t")) {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            let colon = line.contains(&b':');
            dropping = colon && name.trim_ascii_end().eq_ignore_ascii_case(b"return-path");
        }
        if !(in_header && dropping) {
            out.extend_from_slice(line);
        }
    }
    out
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        if text[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// `content` is Return-Path, Delivered-To, our Received, then exactly `below`.
fn assert_exact(content: &[u8], below: &[u8], what: &str) {
    let front = content.strip_suffix(below);
    let front = front.unwrap_or_else(|| panic!("{what}: changed: {}", shortened(content)));
    let front = std::str::from_utf8(front).expect("UTF-8 at the top");
    let names: Vec<&str> = front
        .split_inclusive('\n')
        .filter(|line| !line.starts_with(['\t', ' ']))
        .map(|line| line.split(':').next().expect("a name"))
        .collect();
    assert_eq!(names, ["Return-Path", "Delivered-To", "Received"], "{what}: {front}");
    assert!(front.ends_with('\n') && !front.contains('\r'), "{what}: {front:?}");
}

fn shortened(content: &[u8]) -> String {
    String::from_utf8_lossy(&content[..content.len().min(2000)]).into_owned()
}

/// The file that a 250 speaks of.
fn delivered(maildir: &Path, reply: &Reply, what: &str) -> Vec<u8> {
    let id = reply.lines[0].rsplit(' ').next().expect("a queue id");
    assert!(reply.code == 250 && id.len() == 16, "{what}: {reply:?}");
    let name = format!(".Q{id}R");
    let find = || maildir::read(maildir).into_iter().find(|mail| mail.name.contains(&name));
    wait_until(LIMIT, || find().is_some());
    find().unwrap_or_else(|| panic!("{what}: {id} is not there")).content
}

/// What mail programs get wrong: name, and the message to its last byte.
fn awkward() -> Vec<(&'static str, Vec<u8>)> {
    let head = |id: &str| {
        let date = smtp::date_now();
        format!("From: <{FROM}>\r\nDate: {date}\r\nMessage-ID: <{id}@a.example>\r\nX-Test-Id: {id}\r\n")
    };
    let with = |id: &str, body: &[u8]| [head(id).as_bytes(), b"\r\n", body].concat();
    let all_bytes: Vec<u8> = (0..=255).filter(|byte| !b"\r\n".contains(byte)).collect();
    let mut long = vec![b'x'; 100_000];
    long.extend_from_slice(b" \xc3\xbc\r\n");
    let folded = "Subject: one\r\n\ttwo\r\n   \r\n three\r\n";
    let foreign = "Return-Path: <old@a.example>\r\n\t(folded)\r\nX-Kept: yes\r\nReturn-path : <b@a>\r\n";
    vec![
        ("plain", with("plain", b"hello\r\n")),
        ("every byte", with("bytes", &all_bytes.repeat(8))),
        ("line of 999", with("l999", &[&[b'y'; 999][..], b"\r\n"].concat())),
        ("line of 5,000", with("l5000", &[&[b'.'; 5_000][..], b"\r\nend\r\n"].concat())),
        ("lines of 100 kB", with("l100k", &long.repeat(5))),
        ("header line of 100 kB", [head("h100k").as_bytes(), b"Subject: ", &long, b"\r\nx\r\n"].concat()),
        ("dots", with("dots", b".\r\n..\r\n...\r\n.x\r\n\r\n.\r\n\r\n.")),
        ("dots at the start", b".x: y\r\n.\r\n".to_vec()),
        ("no newline at the end", with("open", b"the end")),
        ("ends in CRLF CRLF", with("crlfs", b"x\r\n\r\n\r\n \t\r\n")),
        ("empty body", with("nobody", b"")),
        ("header alone", head("headonly").into_bytes()),
        ("empty header", b"\r\nbody alone\r\n".to_vec()),
        ("only an empty line", b"\r\n".to_vec()),
        ("nothing", Vec::new()),
        ("no header at all", b"just a line\r\nand another\r\n".to_vec()),
        ("begins with a space", b" folded from nothing\r\nA: b\r\n\r\nx\r\n".to_vec()),
        ("folded", [head("fold").as_bytes(), folded.as_bytes(), b"\r\nx\r\n"].concat()),
        (
            "Return-Path of others",
            [foreign.as_bytes(), head("rp").as_bytes(), b"\r\nReturn-Path: x\r\n"].concat(),
        ),
        ("UTF-8 header", [head("utf8").as_bytes(), "Subject: Grüße 🌍\r\n\r\nü\r\n".as_bytes()].concat()),
        ("more than is kept in memory", with("large", &b"0123456789 quell \xe4\xf6\r\n".repeat(30_000))),
    ]
}

#[test]
fn every_byte_comes_out() {
    let (directory, server) = server("bytes");
    let maildir = jane(&server);
    let mut client = Client::hello(server.smtp_port);
    let mut expected = Vec::new();
    for (what, message) in awkward() {
        let by_data = client.send_pipelined(FROM, &[JANE], &message).expect("replies");
        let last = by_data.last().expect("a reply");
        let content = delivered(&maildir, last, what);
        let mut whole = in_maildir(&message);
        // DATA cannot carry a message that does not end in CRLF.
        if !whole.ends_with(b"\n") {
            whole.push(b'\n');
        }
        assert_exact(&content, &whole, what);
        assert!(!content.contains(&b'\r'), "{what}");
        expected.push(content);
    }
    read_back(&directory, &maildir, &expected);
}

#[test]
fn every_byte_comes_out_of_chunks() {
    let (directory, server) = server("chunks");
    let maildir = jane(&server);
    let mut client = Client::hello(server.smtp_port);
    let mut expected = Vec::new();
    for (number, (what, message)) in awkward().into_iter().enumerate() {
        let chunk = [usize::MAX, 7, 1_000, 65_537][if message.len() > 20_000 { 3 } else { number % 3 }];
        let mail = format!("MAIL FROM:<{FROM}> BODY=8BITMIME");
        let replies = client.send_chunks(&mail, &[JANE], &message, chunk).expect("replies");
        assert!(replies.iter().all(|reply| reply.code == 250), "{what}: {replies:?}");
        let content = delivered(&maildir, replies.last().expect("a reply"), what);
        assert_exact(&content, &in_maildir(&message), what);
        expected.push(content);
    }
    read_back(&directory, &maildir, &expected);
}

/// Dovecot hands out by IMAP what lies in the Maildir, with CRLF.
fn read_back(directory: &TempDir, maildir: &Path, expected: &[Vec<u8>]) {
    if !dovecot::available() {
        return;
    }
    let mut found = dovecot::read(directory, maildir);
    // IMAP cannot carry NUL in these literals (RFC 3501 §4.3): Dovecot writes 0x80 instead.
    let as_imap = |content: &Vec<u8>| replace(&replace(content, b"\n", b"\r\n"), b"\0", b"\x80");
    let mut expected: Vec<Vec<u8>> = expected.iter().map(as_imap).collect();
    found.sort();
    expected.sort();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found == expected, "{}\n---\n{}", shortened(found), shortened(expected));
    }
}

#[test]
fn mutt_reads_what_was_delivered() {
    if !mutt::available() {
        return;
    }
    let (directory, server) = server("mutt");
    let bodies = ["hello", ".\r\n..dots", "Grüße\r\n\r\nFrom here on", "\ttabs \r\n \r\nend"];
    let date = smtp::date_now();
    let message = |(n, body): (usize, &&str)| smtp::message(&format!("m{n}"), &date, body);
    let messages: Vec<_> = bodies.iter().enumerate().map(message).collect();
    smtp::send_all(server.smtp_port, FROM, &[JANE], &messages);
    wait_for(&jane(&server), messages.len());
    let read = mutt::read(&directory, &jane(&server));
    for mail in maildir::read(&jane(&server)) {
        let content = String::from_utf8(mail.content).expect("UTF-8");
        assert!(read.contains(&content), "{content}\n--- is not in ---\n{read}");
    }
    for message in &messages {
        let whole = String::from_utf8(in_maildir(message)).expect("UTF-8");
        assert!(read.contains(&whole), "{whole}\n--- is not in ---\n{read}");
    }
}

#[test]
fn swaks_sends_in_both_ways() {
    if !swaks::available() {
        return;
    }
    let (directory, server) = server("swaks");
    let date = smtp::date_now();
    for (id, more) in
        [("plain", &[][..]), ("piped", &["--pipeline"][..]), ("helo", &["--protocol", "SMTP"][..])]
    {
        let message = smtp::message(id, &date, ".dot\r\n..two\r\n\r\nGrüße");
        let file = directory.join(id);
        std::fs::write(&file, in_maildir(&message)).expect("a file");
        let data = format!("@{}", file.display());
        let (ok, said) = swaks::send(server.smtp_port, FROM, JANE, &[more, &["--data", &data]].concat());
        assert!(ok && said.contains("250 2.0.0 Ok: queued as "), "{said}");
        wait_until(LIMIT, || maildir::counts(&jane(&server)).contains_key(id));
        let mails = maildir::read(&jane(&server));
        let mail = mails.iter().find(|mail| mail.test_id.as_deref() == Some(id)).expect("the mail");
        // swaks ends its data with an empty line of its own.
        assert_exact(&mail.content, &[in_maildir(&message), b"\n".to_vec()].concat(), id);
        let with = if id == "helo" { " with SMTP " } else { " with ESMTP " };
        let received = maildir::field(&mail.content, "Received").expect("a field").replace('\t', " ");
        assert!(received.contains(with), "{received}");
    }
    wait_for(&jane(&server), 3);
    let (ok, said) = swaks::send(server.smtp_port, FROM, "nobody@firm.example", &[]);
    assert!(!ok && said.contains("550 5.1.1 "), "{said}");
}

#[test]
fn smtp_source_sends_in_many_sessions() {
    if smtp_source::available() {
        let (_directory, server) = server("source");
        let load = smtp_source::Load { messages: 300, sessions: 20, ..Default::default() };
        smtp_source::send(server.smtp_port, &load);
        let kept = smtp_source::Load { more: &["-d"], bytes: 40_000, ..load };
        smtp_source::send(server.smtp_port, &kept);
        wait_for(&jane(&server), 600);
    }
}

/// Twenty messages that a relay passes on as they are.
fn for_relays() -> Vec<Vec<u8>> {
    let date = smtp::date_now();
    let long = format!("{}\r\n.\r\n..\r\n.x\r\n\r\n \t \r\nGrüße {}", "x".repeat(990), "ü".repeat(400));
    (0..20).map(|n| smtp::message(&format!("m{n}"), &date, &format!("{n}\r\n{long}\r\n\r\nend"))).collect()
}

/// Both have each message once, and below the fields that servers put on top it is what was sent.
fn assert_relayed(server: &Server, messages: &[Vec<u8>]) {
    for local in ["jane", "john"] {
        let maildir = server.maildir("firm.example", local);
        wait_for(&maildir, messages.len());
        let mails = maildir::read(&maildir);
        for message in messages {
            let whole = in_maildir(message);
            let same = mails.iter().filter(|mail| mail.content.ends_with(&whole)).count();
            let id = maildir::field(message, "X-Test-Id");
            let mail = mails.iter().find(|mail| mail.test_id == id).expect("a mail of this id");
            assert_eq!(same, 1, "{}\n---\n{}", shortened(&mail.content), shortened(&whole));
            let to = maildir::field(&mail.content, "Delivered-To").expect("a field");
            let from = maildir::field(&mail.content, "Return-Path").expect("a field");
            assert_eq!((to, from), (format!("{local}@firm.example"), format!("<{FROM}>")));
        }
    }
}

#[test]
fn postfix_sends() {
    if postfix::available() {
        let (directory, server) = server("postfix");
        let (peer, messages) = (postfix::Postfix::start(&directory, server.smtp_port), for_relays());
        peer.send(FROM, &BOTH, &messages[0]);
        smtp::send_all(peer.port, FROM, &BOTH, &messages[1..]);
        assert_relayed(&server, &messages);
        assert!(!peer.log().contains("status=deferred"), "{}", peer.log());
    }
}

#[test]
fn exim_sends_in_chunks() {
    if exim::available() {
        let (directory, server) = server("exim");
        let (peer, messages) = (exim::Exim::start(&directory, server.smtp_port), for_relays());
        peer.send(FROM, &BOTH, &messages[0]);
        smtp::send_all(peer.port, FROM, &BOTH, &messages[1..]);
        assert_relayed(&server, &messages);
        // "K" is Exim's mark for BDAT.
        let used = wait_until(LIMIT, || peer.log().contains(" K C=\"250"));
        assert!(used && !peer.log().contains(" == "), "{}", peer.log());
    }
}

#[test]
fn opensmtpd_sends() {
    if opensmtpd::available() {
        let (directory, server) = server("opensmtpd");
        let (peer, messages) = (opensmtpd::OpenSmtpd::start(&directory, server.smtp_port), for_relays());
        smtp::send_all(peer.port, FROM, &BOTH, &messages);
        assert_relayed(&server, &messages);
        assert!(!peer.log().contains("result=\"TempFail\""), "{}", peer.log());
    }
}

#[test]
fn mail_is_taken_from_the_greeting_on() {
    let (_directory, mut server) = server("first");
    for life in 0..5 {
        let message = smtp::message(&format!("m{life}"), &smtp::date_now(), "first");
        let replies = smtp::send_all(server.smtp_port, FROM, &[JANE], &[message]);
        assert_eq!(replies[0].code, 250, "{replies:?}");
        server.term();
        server.restart();
    }
    wait_for(&jane(&server), 5);
}

#[test]
fn addresses_in_utf8() {
    let (_directory, server) = server("utf8");
    let mut client = Client::hello(server.smtp_port);
    let (from, to) = ("grüße@bücher.example", "Jürgen+post@firm.example");
    let plain = client.command(&format!("MAIL FROM:<{from}>")).expect("a reply");
    assert_eq!((plain.code, &plain.lines[0][..5]), (553, "5.6.7"), "{plain:?}");
    let message = "From: <grüße@bücher.example>\r\nX-Test-Id: u\r\nSubject: Ä\r\n\r\nß\r\n".as_bytes();
    let mail = format!("MAIL FROM:<{from}> SMTPUTF8 BODY=8BITMIME");
    let replies = client.send_chunks(&mail, &[to], message, 10).expect("replies");
    let last = replies.last().expect("a reply");
    let content = delivered(&server.maildir("firm.example", "j%C3%BCrgen"), last, "UTF-8");
    assert_exact(&content, &in_maildir(message), "UTF-8");
    let field = |name| maildir::field(&content, name).expect("a field").replace('\t', " ");
    assert!(field("Received").contains(" with UTF8SMTP "), "{}", field("Received"));
    assert_eq!(field("Return-Path"), format!("<{from}>"));
    assert_eq!(field("Delivered-To"), "jürgen@firm.example");
}

/// Where real mail is: `QUELL_REAL_MAIL`, or `shared/data` beside the checkout.
fn real_mail() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("QUELL_REAL_MAIL").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn eml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            eml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            found.push(path);
        }
    }
}

/// Every line end made CRLF, as a program that sends a file has to.
fn for_the_wire(file: &[u8]) -> Vec<u8> {
    let lf = replace(&replace(file, b"\r\n", b"\n"), b"\r", b"\n");
    let mut message = replace(&lf, b"\n", b"\r\n");
    if !message.ends_with(b"\r\n") {
        message.extend_from_slice(b"\r\n");
    }
    message
}

#[test]
fn real_messages_come_out_unchanged() {
    let Some(folder) = real_mail() else {
        // The collection is not part of the repository, so this cannot fail in CI.
        eprintln!("\n*** SKIPPED: no real mail: set QUELL_REAL_MAIL to a folder of .eml files\n");
        return;
    };
    let mut files = Vec::new();
    eml_files(&folder, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no .eml file in {}", folder.display());
    let (_directory, server) = server("real");
    let mut client = Client::hello(server.smtp_port);
    let (mut sent, mut refused) = (Vec::new(), Vec::new());
    for file in &files {
        let message = for_the_wire(&std::fs::read(file).expect("a file"));
        let replies = client.send_pipelined(FROM, &[JANE], &message).expect("replies");
        let last = replies.last().expect("a reply").clone();
        if last.code == 250 { sent.push((file, message, last)) } else { refused.push((file, last)) }
    }
    eprintln!("{} real messages, {} taken, refused: {refused:?}", files.len(), sent.len());
    assert!(refused.is_empty(), "{refused:?}");
    wait_for(&jane(&server), sent.len());
    for (file, message, reply) in &sent {
        let what = file.display().to_string();
        assert_exact(&delivered(&jane(&server), reply, &what), &in_maildir(message), &what);
    }
}
