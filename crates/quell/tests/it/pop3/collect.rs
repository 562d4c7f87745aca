//! Our collecting session and a real server: what lies there arrives, once, and goes when QUIT said so.

use super::dovecot::{self, Dovecot};
use crate::support::wait_until;
use quell_wire::pop3::Password;
use quell_wire::pop3::client::{
    At, Code, Deletions, Ending, Lost, Request, Session, Settings, SignIn, Step, Why,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a collection has brought.
#[derive(Default)]
struct Mail {
    /// By UIDL.
    messages: BTreeMap<String, Vec<u8>>,
    content: Vec<u8>,
    uidls: BTreeMap<u32, String>,
    wanted: Vec<Request>,
    marked: usize,
}

/// Collects all, deletes what it has; without QUIT, if the connection is to be lost before it.
fn collect(port: u16, password: &str, quits: bool) -> (Mail, Ending) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
    let who = SignIn::new("jane", Password::new(password).expect("a password")).expect("a name");
    let mut session = Session::new(Settings::default(), who);
    let (mut buffer, mut used, mut filled) = (vec![0; 64 << 10], 0, 0);
    let mut mail = Mail::default();
    loop {
        let (taken, step) = session.next(&buffer[used..filled]);
        used += taken;
        match step {
            Step::NeedInput(_) => {
                stream.write_all(session.output()).expect("written");
                session.output().clear();
                (used, filled) = (0, stream.read(&mut buffer).expect("an answer in time"));
                if filled == 0 {
                    session.lost(Lost::Closed);
                }
            }
            Step::Idle if mail.wanted.is_empty() && quits => session.quit(),
            Step::Idle if mail.wanted.is_empty() => {
                session.lost(Lost::Ours("the test pulls the plug".to_owned()))
            }
            Step::Idle => mail.ask(&mut session),
            Step::Closed(ending) => return (mail, ending),
            step => mail.take(&session, step),
        }
    }
}

impl Mail {
    fn take(&mut self, session: &Session, step: Step<'_>) {
        match step {
            Step::Listed => {
                for entry in &session.listing().entries {
                    self.uidls.insert(entry.number, entry.uidl.as_ref().expect("a UIDL").to_string());
                    self.wanted.push(Request::Retrieve(entry.number));
                }
            }
            Step::Content(piece) => self.content.extend_from_slice(piece),
            Step::End { number, bytes, .. } => {
                assert_eq!(self.content.len() as u64, bytes);
                let before =
                    self.messages.insert(self.uidls[&number].clone(), std::mem::take(&mut self.content));
                assert_eq!(before, None, "twice");
                self.wanted.push(Request::Delete(number));
            }
            Step::Deleted { .. } => self.marked += 1,
            Step::Begin { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    /// As many as the session takes; the rest at the next time.
    fn ask(&mut self, session: &mut Session) {
        let requests = std::mem::take(&mut self.wanted);
        let taken = requests.iter().take_while(|request| session.request(**request).is_ok()).count();
        self.wanted.extend(&requests[taken..]);
    }
}

/// As it comes over the wire: every newline CRLF.
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for line in message.split_inclusive(|b| *b == b'\n') {
        lines
            .extend_from_slice(line.strip_suffix(b"\n").map_or(line, |l| l.strip_suffix(b"\r").unwrap_or(l)));
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// Small ones, more than a window and than the requests that may wait; dots, a long one, an empty one.
fn messages() -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> =
        (0..1500).map(|number| format!("Subject: {number}\n\ntext\n").into_bytes()).collect();
    messages.push(b"Subject: dots\n\n.\n..\n.x\n\n.\n".to_vec());
    messages.push(b"Subject: no end\n\nlast line".to_vec());
    messages.push(b"Subject: CRLF\r\n\r\n.\r\ntext\r\n".to_vec());
    messages.push([b"Subject: long\n\n".to_vec(), b".0123456789abcdef\xff\n".repeat(60_000)].concat());
    messages
}

fn sorted(mail: &Mail) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = mail.messages.values().cloned().collect();
    found.sort();
    found
}

#[test]
fn dovecot_is_collected_from() {
    if !dovecot::available() {
        return;
    }
    let sent = messages();
    let mut wanted: Vec<Vec<u8>> = sent.iter().map(|message| with_crlf(message)).collect();
    wanted.sort();
    let dovecot = Dovecot::start(&sent);

    // Lost before QUIT: all is still there, and has the same names.
    let (first, ending) = collect(dovecot.port, "test word", false);
    assert_eq!(ending.deletions, Deletions::Nothing, "{ending:?}");
    assert_eq!((first.messages.len(), first.marked), (sent.len(), sent.len()));
    assert!(sorted(&first) == wanted, "not what was sent; {}", dovecot.said());
    assert_eq!(dovecot.messages(), sent.len());

    // The second time it is gone.
    let (second, ending) = collect(dovecot.port, "test word", true);
    assert_eq!(ending, Ending { why: Why::Quit, deletions: Deletions::Done });
    assert!(second.messages == first.messages, "other messages, or other names");
    assert!(wait_until(Duration::from_secs(10), || dovecot.messages() == 0), "{} left", dovecot.messages());

    let (third, ending) = collect(dovecot.port, "test word", true);
    assert_eq!(ending, Ending { why: Why::Quit, deletions: Deletions::Nothing });
    assert!(third.messages.is_empty());
}

#[test]
fn dovecot_says_that_the_password_is_wrong() {
    if !dovecot::available() {
        return;
    }
    let dovecot = Dovecot::start(&[b"Subject: x\n\ny\n".to_vec()]);
    let (mail, ending) = collect(dovecot.port, "wrong", true);
    let Why::Refused(At::SignIn, refusal) = &ending.why else { panic!("{ending:?}") };
    assert_eq!(refusal.code, Some(Code::Auth), "{refusal}");
    assert_eq!((ending.deletions, mail.messages.len()), (Deletions::Nothing, 0));
}
