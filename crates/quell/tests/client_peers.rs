//! The client session against other people's servers: `smtp-sink` with its faults, Postfix,
//! aiosmtpd that does what a script says, Dovecot's LMTP.

// Helpers of a test are test code too, which clippy cannot see.
#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use quell_wire::client::{Envelope, Lost, Outcome, Session, Settings, Step};
use quell_wire::path::Path;
use quell_wire::server::Ret;
use quell_wire::server::{MailFrom, RcptTo};
use support::peers::aiosmtpd::{self, At, Fault, Script, Scripted};
use support::peers::sink::Sink;
use support::peers::{self, lmtp, postfix};
use support::{Running, TempDir, free_port, maildir, smtp, wait_until};

/// More than any answer takes, but for the one that never comes.
const PATIENCE: Duration = Duration::from_secs(20);

fn path(address: &str) -> Path {
    Path::parse(format!("<{address}>").as_bytes()).expect("a path").0
}

fn envelope(recipients: usize, message: &[u8]) -> Envelope {
    let rcpt =
        |number| RcptTo { forward_path: path(&format!("r{number}@firm.example")), notify: None, orcpt: None };
    let mail = MailFrom {
        reverse_path: path("sender@client.example"),
        size_bytes: Some(message.len() as u64),
        smtputf8: false,
        eight_bit: false,
        ret: None,
        envid: None,
    };
    Envelope { mail, recipients: (0..recipients).map(rcpt).collect() }
}

/// What happened to each recipient of each message, and how often a dot was written down.
struct Sent {
    outcomes: Vec<Vec<Option<Outcome>>>,
    dots: usize,
}

impl Sent {
    /// The outcomes' names, each once, in order of appearance.
    fn names(&self) -> Vec<&'static str> {
        let mut names = self.all_names();
        names.dedup();
        names
    }

    /// One name for each recipient of each message.
    fn all_names(&self) -> Vec<&'static str> {
        let name = |outcome: &Option<Outcome>| match outcome.as_ref().expect("an outcome for each") {
            Outcome::Delivered(_) => "delivered",
            Outcome::Relayed(_) => "relayed",
            Outcome::Failed { .. } => "failed",
            Outcome::Temporary(_) => "temporary",
            Outcome::Unknown(_) => "unknown",
        };
        self.outcomes.iter().flatten().map(name).collect()
    }
}

/// Sends messages, each to so many recipients, over one connection.
fn send(port: u16, settings: Settings, messages: &[(usize, Vec<u8>)]) -> Sent {
    let envelopes: Vec<_> =
        messages.iter().map(|(count, message)| (envelope(*count, message), &**message)).collect();
    converse(connected(port, PATIENCE), settings, &envelopes)
}

fn connected(port: u16, patience: Duration) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(patience)).expect("a limit");
    stream
}

/// The same over this stream, with these envelopes.
fn converse(mut stream: impl Read + Write, settings: Settings, messages: &[(Envelope, &[u8])]) -> Sent {
    let mut waiting = messages.iter();
    let mut now = waiting.next().expect("a message");
    let mut session = Session::new(settings, now.0.clone());
    let mut sent = Sent { outcomes: vec![vec![None; now.0.recipients.len()]], dots: 0 };
    loop {
        match session.next() {
            Step::Write(bytes) => write(&mut session, &mut stream, &bytes),
            Step::NeedInput(_) => read(&mut session, &mut stream),
            Step::SendBody => body(&mut session, &mut stream, now.1),
            Step::StartTls => panic!("TLS without being asked for"),
            Step::Dot(_) => {
                sent.dots += 1;
                session.dot_recorded();
            }
            Step::Outcome { recipient, outcome } => {
                let place = &mut sent.outcomes.last_mut().expect("a message")[recipient];
                assert!(place.replace(outcome).is_none(), "two outcomes");
            }
            Step::Done => match waiting.next() {
                Some(next) => {
                    now = next;
                    sent.outcomes.push(vec![None; now.0.recipients.len()]);
                    session.begin(now.0.clone()).expect("done");
                }
                None => session.quit(),
            },
            Step::Closed => return sent,
        }
    }
}

fn write(session: &mut Session, stream: &mut (impl Read + Write), bytes: &[u8]) {
    if stream.write_all(bytes).is_err() {
        session.lost(Lost::Closed);
    }
}

fn read(session: &mut Session, stream: &mut (impl Read + Write)) {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => session.lost(Lost::Closed),
        Ok(count) => session.input(&buffer[..count]),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            session.lost(Lost::TimedOut);
        }
        Err(_) => session.lost(Lost::Closed),
    }
}

fn body(session: &mut Session, stream: &mut (impl Read + Write), message: &[u8]) {
    for mut piece in message.chunks(1000) {
        while !piece.is_empty() {
            let (taken, out) = session.body(piece);
            piece = &piece[taken..];
            if stream.write_all(out).is_err() {
                return session.lost(Lost::Closed);
            }
        }
    }
    session.body_end();
}

fn message(id: &str) -> Vec<u8> {
    smtp::message(id, &smtp::date_now(), "hello\r\n.a line with a dot\r\n.\r\nthe end")
}

/// `smtp-sink` with further arguments, on a port.
fn faulty_sink(directory: &TempDir, arguments: &[&str]) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new(peers::program("smtp-sink"));
    if peers::is_root() {
        command.args(["-u", "nobody"]);
    }
    command.args(arguments).arg(format!("127.0.0.1:{port}")).arg("100");
    let running = Running::start(command, &directory.join("sink.log"));
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(wait_until(peers::START_LIMIT, listens), "{}", running.output());
    (running, port)
}

/// Whether `taken` has the line, dots undone, as it was in the message.
fn assert_whole(taken: &str) {
    assert!(taken.contains("hello\n.a line with a dot\n.\nthe end"), "{taken}");
}

#[test]
fn smtp_sink_takes_messages_over_a_kept_connection() {
    if !peers::available(&["smtp-sink"]) {
        return;
    }
    let directory = TempDir::new("client-sink");
    let sink = Sink::start(&directory);
    let messages = [(1, message("m0")), (3, message("m1")), (250, message("m2"))];
    let sent = send(sink.port, Settings::new("client.example"), &messages);
    // 250 recipients are three transactions.
    assert_eq!((sent.names(), sent.dots), (vec!["relayed"], 5));
    sink.expect(5);
    let taken = sink.taken();
    assert_whole(&taken);
    let recipients = taken.lines().filter(|line| line.starts_with("X-Rcpt-Args: ")).count();
    assert_eq!(recipients, 254);
}

#[test]
fn each_fault_of_smtp_sink_has_its_outcome() {
    if !peers::available(&["smtp-sink"]) {
        return;
    }
    // Arguments: -p no pipelining, -e no EHLO, -L LMTP, -f 5xx, -r 4xx, -q closes without an answer.
    for (arguments, expected, dots) in [
        (&["-p"][..], "relayed", 1),
        (&["-e"], "relayed", 1),
        (&["-8"], "relayed", 1),
        (&["-L"], "delivered", 1),
        (&["-L", "-p"], "delivered", 1),
        (&["-f", "MAIL"], "failed", 0),
        (&["-r", "MAIL"], "temporary", 0),
        (&["-f", "RCPT"], "failed", 0),
        (&["-r", "RCPT"], "temporary", 0),
        (&["-r", "RCPT", "-p"], "temporary", 0),
        (&["-f", "DATA"], "failed", 0),
        (&["-r", "DATA"], "temporary", 0),
        (&["-f", "."], "failed", 1),
        (&["-r", "."], "temporary", 1),
        (&["-L", "-r", "."], "temporary", 1),
        (&["-q", "EHLO"], "temporary", 0),
        (&["-q", "MAIL"], "temporary", 0),
        (&["-q", "RCPT"], "temporary", 0),
        (&["-q", "DATA"], "temporary", 0),
        (&["-q", "."], "unknown", 1),
        (&["-L", "-q", "."], "unknown", 1),
        (&["-q", "QUIT"], "relayed", 1),
    ] {
        let directory = TempDir::new("client-fault");
        let (_sink, port) = faulty_sink(&directory, arguments);
        let settings = Settings { lmtp: arguments.contains(&"-L"), ..Settings::new("client.example") };
        let sent = send(port, settings, &[(2, message("m"))]);
        assert_eq!((sent.names(), sent.dots), (vec![expected], dots), "{arguments:?}");
    }
}

#[test]
fn postfix_takes_a_message_and_says_452_to_the_recipients_over_its_limit() {
    if !peers::available(&["smtp-sink"]) || !postfix::available() {
        return;
    }
    let directory = TempDir::new("client-postfix");
    let sink = Sink::start(&directory);
    let postfix = postfix::Postfix::start(&directory, sink.port);
    // Its limit is 1,000 recipients of one transaction.
    let settings = Settings { max_recipients: 5000, ..Settings::new("client.example") };
    let sent = send(postfix.port, settings, &[(1100, message("m0")), (1, message("m1"))]);
    assert_eq!((sent.names(), sent.dots), (vec!["relayed"], 3), "{}", postfix.log());
    let delivered = || postfix.log().lines().filter(|line| line.contains("status=sent")).count();
    assert!(wait_until(Duration::from_secs(60), || delivered() >= 1101), "{} were sent", delivered());
    assert_eq!(delivered(), 1101);
    assert_whole(&sink.taken());
}

/// Sends one message to so many recipients, with a second's patience; an outcome's name for
/// each, the number of dots, and the server. It must find nothing that a client may not do.
fn follow(script: &Script, recipients: usize) -> (Vec<&'static str>, usize, Scripted, TempDir) {
    let directory = TempDir::new("client-scripted");
    let server = Scripted::start(&directory, script);
    let settings = Settings { lmtp: script.lmtp, ..Settings::new("client.example") };
    let message = message("m");
    let stream = connected(server.port, Duration::from_secs(1));
    let sent = converse(stream, settings, &[(envelope(recipients, &message), &message)]);
    assert!(server.violations().is_empty() && server.output().is_empty(), "{}", server.log());
    (sent.all_names(), sent.dots, server, directory)
}

#[test]
fn each_fault_of_aiosmtpd_has_its_outcome() {
    if !aiosmtpd::available() {
        return;
    }
    let of = |recipient: usize| format!("r{recipient}@firm.example");
    let twice = |name| vec![name; 2];
    for (fault, expected, dots) in [
        // Another server may take it (RFC 5321 §3.1), but for 521 (RFC 7504).
        (Fault::reply_and_close(At::Greeting, "554 5.3.2 No"), twice("temporary"), 0),
        (Fault::reply_and_close(At::Greeting, "521 5.3.2 No mail here"), twice("failed"), 0),
        (Fault::reply_and_close(At::Greeting, "421 4.3.2 Busy"), twice("temporary"), 0),
        (Fault::hang(At::Greeting), twice("temporary"), 0),
        (Fault::close(At::Ehlo), twice("temporary"), 0),
        (Fault::reply_and_close(At::Mail, "421 4.3.2 Closing"), twice("temporary"), 0),
        (Fault::hang(At::Mail), twice("temporary"), 0),
        (Fault::reply(At::Rcpt, "550 5.1.1 Nobody").of(&of(1)), vec!["relayed", "failed"], 1),
        (Fault::reply(At::Rcpt, "451 4.2.1 Later").of(&of(0)), vec!["temporary", "relayed"], 1),
        // RFC 5321 §4.5.3.1.10: read as 452, so that the rest goes in the next transaction.
        (Fault::reply(At::Rcpt, "552 5.5.3 Too many").of(&of(1)).times(1), twice("relayed"), 2),
        (Fault::cut(At::Rcpt, "250"), twice("temporary"), 0),
        (Fault::close(At::Data), twice("temporary"), 0),
        (Fault::reply(At::Data, "451 4.3.0 Later"), twice("temporary"), 0),
        (Fault::delay(At::Dot, 500), twice("relayed"), 1),
        (Fault::reply(At::Dot, "554 5.6.0 Never"), twice("failed"), 1),
        (Fault::reply(At::Dot, "452 4.3.1 Full"), twice("temporary"), 1),
        (Fault::reply_and_close(At::Dot, "421 4.3.2 Closing"), twice("temporary"), 1),
        (Fault::reply_and_close(At::Dot, "250 2.0.0 Taken"), twice("relayed"), 1),
        (Fault::hang(At::Dot), twice("unknown"), 1),
        (Fault::close(At::Dot), twice("unknown"), 1),
        (Fault::cut(At::Dot, "250 2.0.0 Tak"), twice("unknown"), 1),
        (Fault::hang(At::Quit), twice("relayed"), 1),
        (Fault::close(At::Quit), twice("relayed"), 1),
    ] {
        let (names, seen, server, _directory) = follow(&Script::with([fault.clone()]), 2);
        assert_eq!((names, seen), (expected, dots), "{fault:?} {}", server.log());
        assert_eq!(server.sendings().len(), dots, "{fault:?}");
    }
}

#[test]
fn a_message_that_aiosmtpd_stops_reading_is_no_message() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("client-scripted");
    let server = Scripted::start(&directory, &Script::with([Fault::close(At::Body).after_bytes(1000)]));
    let message = [message("m"), b"0123456789\r\n".repeat(1 << 20)].concat();
    let sent = send(server.port, Settings::new("client.example"), &[(2, message)]);
    assert_eq!((sent.all_names(), sent.dots), (vec!["temporary"; 2], 0));
    assert!(server.sendings().is_empty() && server.violations().is_empty(), "{}", server.log());
}

#[test]
fn what_aiosmtpd_does_not_offer_is_not_used() {
    if !aiosmtpd::available() {
        return;
    }
    for script in [Script::bare(), Script { helo_only: true, ..Script::default() }, Script::default()] {
        let directory = TempDir::new("client-scripted");
        let server = Scripted::start(&directory, &script);
        let message = [message("m"), "caf\u{e9}\r\n".into()].concat();
        let mut envelope = envelope(2, &message);
        (envelope.mail.eight_bit, envelope.mail.ret) = (true, Some(Ret::Full));
        envelope.mail.envid = Some("Q+2Bx".to_owned());
        envelope.recipients[0].orcpt = Some("rfc822;R0@firm.example".to_owned());
        let sent = converse(
            connected(server.port, PATIENCE),
            Settings::new("client.example"),
            &[(envelope, &message)],
        );
        assert_eq!((sent.names(), sent.dots), (vec!["relayed"], 1), "{}", server.log());
        let [sending] = &server.expect(1)[..] else { panic!("one message") };
        assert!(sending.content == message && sending.esmtp != script.helo_only, "{}", server.log());
        let size = format!("SIZE={}", message.len());
        let (mail, rcpt) = match script.pipelining && !script.helo_only {
            true => (
                vec![&*size, "BODY=8BITMIME", "RET=FULL", "ENVID=Q+2Bx"],
                vec!["ORCPT=rfc822;R0@firm.example"],
            ),
            false => (vec![], vec![]),
        };
        let mut parameters = sending.parameters.iter().map(String::as_str).collect::<Vec<_>>();
        parameters.sort_by_key(|parameter| mail.iter().position(|other| other == parameter));
        assert_eq!(
            (parameters, &sending.recipients[0].parameters[..]),
            (mail, &rcpt.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()[..])
        );
        assert!(server.violations().is_empty() && server.output().is_empty(), "{}", server.log());
    }
}

#[test]
fn recipients_over_a_limit_of_aiosmtpd_follow_at_once() {
    if !aiosmtpd::available() {
        return;
    }
    let script = Script { max_recipients: Some(3), ..Script::default() };
    let (names, dots, server, _directory) = follow(&script, 10);
    assert_eq!((names, dots), (vec!["relayed"; 10], 4), "{}", server.log());
    let counts = server.counts();
    assert!(counts.len() == 10 && counts.values().all(|count| count.taken == 1), "{counts:?}");
    // A message over SIZE is not begun.
    let (names, dots, server, _directory) = follow(&Script { size_bytes: Some(100), ..Script::default() }, 2);
    assert_eq!((names, dots, server.sendings().len()), (vec!["failed"; 2], 0, 0));
}

#[test]
fn each_recipient_of_lmtp_has_an_outcome_of_its_own() {
    if !aiosmtpd::available() {
        return;
    }
    let refused = Fault::reply(At::Dot, "552 5.2.2 Full").of("r1@firm.example");
    let broken = [refused.clone(), Fault::close(At::Dot).after_replies(3)];
    let hanging = [refused.clone(), Fault::hang(At::Dot).after_replies(2)];
    for (faults, expected) in [
        (vec![refused], vec!["delivered", "failed", "delivered", "delivered"]),
        (broken.to_vec(), vec!["delivered", "failed", "delivered", "unknown"]),
        (hanging.to_vec(), vec!["delivered", "failed", "unknown", "unknown"]),
    ] {
        let script = Script { lmtp: true, ..Script::with(faults) };
        let (names, dots, server, _directory) = follow(&script, 4);
        assert_eq!((names, dots), (expected, 1), "{}", server.log());
    }
}

#[test]
fn dovecot_delivers_over_tcp_and_a_unix_socket() {
    if !lmtp::available() {
        return;
    }
    let directory = TempDir::new("client-lmtp");
    let users = ["r0@firm.example", "r2@firm.example"];
    let server = lmtp::Lmtp::start(&directory, &users, &["r1@firm.example"]);
    let settings = Settings { lmtp: true, ..Settings::new("client.example") };
    let expected = ["delivered", "failed", "delivered", "failed"];
    let over_tcp = send(server.port, settings.clone(), &[(4, message("m0"))]);
    assert_eq!((over_tcp.all_names(), over_tcp.dots), (expected.to_vec(), 1), "{}", server.log());
    let about =
        |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Failed { about_recipient: true, .. }));
    // Full after the dot, unknown at RCPT.
    assert!(about(&over_tcp.outcomes[0][1]) && about(&over_tcp.outcomes[0][3]), "{:?}", over_tcp.outcomes);
    let stream = std::os::unix::net::UnixStream::connect(&server.socket).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let message = message("m1");
    let over_unix =
        converse(stream, settings, &[(envelope(4, &message), &message), (envelope(1, &message), &message)]);
    assert_eq!(over_unix.all_names(), [&expected[..], &["delivered"]].concat(), "{}", server.log());
    for (user, count) in users.into_iter().zip([3, 2]) {
        let mails = maildir::read(&server.maildir(user));
        assert_eq!(mails.len(), count, "{}", server.log());
        let body = String::from_utf8_lossy(&mails[0].content).replace("\r\n", "\n");
        assert!(body.contains("hello\n.a line with a dot\n.\nthe end"), "{body}");
    }
}

#[test]
fn a_probe_asks_aiosmtpd_and_sends_nothing() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("client-scripted");
    let refused = Fault::reply(At::Rcpt, "550 5.1.1 Nobody").of("r1@firm.example");
    let server = Scripted::start(&directory, &Script::with([refused]));
    let settings = Settings { probe: true, ..Settings::new("client.example") };
    let sent = send(server.port, settings, &[(3, message("m"))]);
    assert_eq!((sent.all_names(), sent.dots), (vec!["relayed", "failed", "relayed"], 0), "{}", server.log());
    let data = server.commands("DATA").len();
    assert_eq!((data, server.commands("RSET").len(), server.sendings().len()), (0, 1, 0), "{}", server.log());
    assert!(server.violations().is_empty(), "{}", server.log());
}
