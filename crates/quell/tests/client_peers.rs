//! The client session against other people's servers: `smtp-sink` with its faults, and Postfix.

// Helpers of a test are test code too, which clippy cannot see.
#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use quell_wire::client::{Envelope, Lost, Outcome, Session, Settings, Step};
use quell_wire::path::Path;
use quell_wire::server::{MailFrom, RcptTo};
use support::peers::sink::Sink;
use support::peers::{self, postfix};
use support::{Running, TempDir, free_port, smtp, wait_until};

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
        let name = |outcome: &Option<Outcome>| match outcome.as_ref().expect("an outcome for each") {
            Outcome::Delivered(_) => "delivered",
            Outcome::Relayed(_) => "relayed",
            Outcome::Failed { .. } => "failed",
            Outcome::Temporary(_) => "temporary",
            Outcome::Unknown(_) => "unknown",
        };
        let mut names: Vec<_> = self.outcomes.iter().flatten().map(name).collect();
        names.dedup();
        names
    }
}

/// Sends messages, each to so many recipients, over one connection.
fn send(port: u16, settings: Settings, messages: &[(usize, Vec<u8>)]) -> Sent {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut waiting = messages.iter();
    let mut now = waiting.next().expect("a message");
    let mut session = Session::new(settings, envelope(now.0, &now.1));
    let mut sent = Sent { outcomes: vec![vec![None; now.0]], dots: 0 };
    loop {
        match session.next() {
            Step::Write(bytes) => write(&mut session, &mut stream, &bytes),
            Step::NeedInput(_) => read(&mut session, &mut stream),
            Step::SendBody => body(&mut session, &mut stream, &now.1),
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
                    sent.outcomes.push(vec![None; now.0]);
                    session.begin(envelope(now.0, &now.1)).expect("done");
                }
                None => session.quit(),
            },
            Step::Closed => return sent,
        }
    }
}

fn write(session: &mut Session, stream: &mut TcpStream, bytes: &[u8]) {
    if stream.write_all(bytes).is_err() {
        session.lost(Lost::Closed);
    }
}

fn read(session: &mut Session, stream: &mut TcpStream) {
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

fn body(session: &mut Session, stream: &mut TcpStream, message: &[u8]) {
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
