//! A caller of [`Session`] for fuzz targets, property tests and dialogues. It ends in an assertion
//! where a promise of the session's is broken, and nowhere else.

use std::collections::BTreeSet;

use super::{EightBit, Encoder, Envelope, Lost, Outcome, Session, Settings, Starttls, Step, Wait};
use crate::data::{Decoder, Piece};
use crate::path::Path;
use crate::server::{MailFrom, RcptTo};

/// Steps of one run: more than any of them needs.
const MAX_STEPS: usize = 100_000;

/// When the peer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// The session waits for input.
    Input(Wait),
    /// It waits for the message.
    Body,
    /// It waits for TLS.
    Tls,
    /// It waits until the dot is written down.
    Dot,
    /// It is done.
    Done,
}

/// What the peer does, or the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// The next hop says this.
    Says(Vec<u8>),
    /// The connection ends, or the caller ends it.
    Lost(Lost),
    /// Another message follows.
    Begin(Envelope),
    /// TLS cannot be negotiated.
    NoTls,
    /// What the session waits for; [`Session::quit`] when it is done.
    GoesOn,
}

/// Runs a session to its end: a line for each line sent (`C: …`) and each event (`E: …`). What the
/// peer says is given in pieces of `cut` bytes.
pub fn session_log(
    session: Session,
    message: &[u8],
    cut: usize,
    peer: &mut dyn FnMut(Asks, &mut Vec<String>) -> Does,
) -> Vec<String> {
    let (ends, probe) = (Ends::default(), session.is_probe());
    let mut run = Run { session, cut: cut.max(1), pending: vec![], log: vec![], ends, probe };
    for _ in 0..MAX_STEPS {
        let step = run.session.next();
        if !run.step(step, message, peer) {
            return run.log;
        }
    }
    assert!(run.log.is_empty(), "the session does not end");
    run.log
}

struct Run {
    session: Session,
    cut: usize,
    pending: Vec<u8>,
    log: Vec<String>,
    ends: Ends,
    /// [`Settings::probe`]: no message may be asked for.
    probe: bool,
}

/// What has been said of the recipients.
#[derive(Default)]
struct Ends {
    settled: BTreeSet<usize>,
    at_dot: BTreeSet<usize>,
    dot_recorded: bool,
}

impl Run {
    /// False at the end.
    fn step(
        &mut self,
        step: Step,
        message: &[u8],
        peer: &mut dyn FnMut(Asks, &mut Vec<String>) -> Does,
    ) -> bool {
        match step {
            Step::Write(bytes) => self.write(&bytes),
            Step::NeedInput(wait) => self.input(wait, peer),
            Step::SendBody | Step::Dot(_) if self.probe => {
                assert!(self.log.is_empty(), "a probe sends no message");
            }
            Step::StartTls => self.tls(peer),
            Step::SendBody => match peer(Asks::Body, &mut self.log) {
                Does::GoesOn => self.body(message),
                other => self.does(other),
            },
            Step::Dot(recipients) => {
                self.log.push(format!("E: dot {recipients:?}"));
                self.ends.at_dot.extend(recipients);
                // Even after a fault: it is the session that may not send the end then.
                let does = peer(Asks::Dot, &mut self.log);
                self.does(does);
                self.session.dot_recorded();
                self.ends.dot_recorded = true;
            }
            Step::Outcome { recipient, outcome } => self.outcome(recipient, &outcome),
            Step::Done => {
                self.log.push("E: done".to_owned());
                match peer(Asks::Done, &mut self.log) {
                    Does::GoesOn => self.session.quit(),
                    other => self.does(other),
                }
            }
            Step::Closed => {
                self.log.push("E: closed".to_owned());
                return false;
            }
        }
        true
    }

    fn input(&mut self, wait: Wait, peer: &mut dyn FnMut(Asks, &mut Vec<String>) -> Does) {
        if self.pending.is_empty() {
            match peer(Asks::Input(wait), &mut self.log) {
                Does::Says(bytes) => self.pending = bytes,
                other => return self.does(other),
            }
        }
        let cut = self.cut.min(self.pending.len());
        let piece: Vec<u8> = self.pending.drain(..cut).collect();
        self.session.input(&piece);
    }

    /// What comes before TLS is there must not count, and what is left of it is no handshake.
    fn tls(&mut self, peer: &mut dyn FnMut(Asks, &mut Vec<String>) -> Does) {
        assert!(!self.session.is_ready() && !self.session.is_secure(), "TLS twice, or too late");
        self.log.push("E: TLS".to_owned());
        self.pending.clear();
        match peer(Asks::Tls, &mut self.log) {
            Does::GoesOn => {
                self.session.secured();
                assert!(self.session.is_secure(), "secured");
            }
            other => self.does(other),
        }
    }

    fn does(&mut self, does: Does) {
        match does {
            Does::Says(bytes) => self.session.input(&bytes),
            Does::Lost(why) => self.session.lost(why),
            Does::Begin(envelope) => {
                assert!(self.session.begin(envelope).is_ok(), "begun at Done");
                self.ends = Ends::default();
            }
            Does::NoTls => self.session.tls_failed("no cipher in common"),
            Does::GoesOn => {}
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty() && bytes.ends_with(b"\r\n"), "not whole lines");
        let text = String::from_utf8_lossy(bytes);
        let needs_tls = self.session.starttls() == Starttls::Required && !self.session.is_secure();
        assert!(!needs_tls || !text.contains("MAIL FROM"), "MAIL without TLS");
        for line in text.split_terminator("\r\n") {
            assert!(!line.contains(['\r', '\n']), "a bare newline in {line:?}");
            self.log.push(format!("C: {line}"));
        }
    }

    fn body(&mut self, message: &[u8]) {
        let mut wire = Vec::new();
        for mut piece in message.chunks(self.cut) {
            while !piece.is_empty() {
                let (taken, out) = self.session.body(piece);
                wire.extend_from_slice(out);
                piece = &piece[taken..];
            }
        }
        self.session.body_end();
        self.log.push(format!("B: {}", wire.escape_ascii()));
    }

    fn outcome(&mut self, recipient: usize, outcome: &Outcome) {
        assert!(self.ends.settled.insert(recipient), "two outcomes for {recipient}");
        let (name, late) = match outcome {
            Outcome::Delivered(_) => ("delivered", true),
            Outcome::Relayed(_) => ("relayed", true),
            Outcome::Failed { about_recipient: true, .. } => ("failed, recipient", false),
            Outcome::Failed { .. } => ("failed", false),
            Outcome::Temporary(_) => ("temporary", false),
            Outcome::Unknown(_) => ("unknown", true),
        };
        let after_dot = self.ends.dot_recorded && self.ends.at_dot.contains(&recipient);
        assert!(after_dot || !late || (self.probe && name != "unknown"), "{name} before the dot");
        self.log.push(format!("E: {recipient} {name}: {}", outcome.status()));
    }
}

/// A message to so many recipients of one domain.
pub fn envelope(recipients: usize) -> Envelope {
    let rcpt = |number: usize| RcptTo {
        forward_path: path(&format!("<{number}@b.example>")),
        notify: None,
        orcpt: None,
    };
    let mail = MailFrom { size_bytes: Some(30), ..MailFrom::plain(path("<a@a.example>")) };
    Envelope { mail, recipients: (0..recipients).map(rcpt).collect() }
}

/// A path; panics if the text is none.
#[allow(clippy::expect_used)] // Only ever given paths.
pub fn path(text: &str) -> Path {
    Path::parse(text.as_bytes()).expect("a path").0
}

/// What a peer may say; the first ones let a message through.
const REPLIES: [&str; 27] = [
    "250 ok",
    "250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 DSN",
    "354 go",
    "220 mx",
    "250 2.1.5 ok",
    "450 4.2.1 later",
    "550 5.1.1 nobody",
    "452 too many",
    "452 4.5.3 too many",
    "552 too many",
    "552 5.2.2 full",
    "421 4.3.2 stopping",
    "221 bye",
    "503 what",
    "500 what",
    "521 no mail",
    "250-two\r\n550 codes",
    "hello",
    "250",
    "354-a\r\n354 b",
    "250-mx\r\n250-LIMITS MAILMAX=9 RCPTMAX=2\r\n250 SIZE 10",
    "251 forwarded",
    "199 x",
    "334 x",
    "250-mx\r\n250 STARTTLS",
    "250-mx\r\n250-PIPELINING\r\n250 STARTTLS",
    "454 4.7.0 no TLS now",
];

/// A peer that answers as the bytes say: one reply for each wait. With `cut` or without, the session
/// must do the same.
pub fn fuzz_client(bytes: &[u8]) {
    let [policy, cut, recipients, script @ ..] = bytes else {
        return;
    };
    let settings = Settings {
        lmtp: policy & 1 != 0,
        starttls: [Starttls::Never, Starttls::Offered, Starttls::Required][usize::from(recipients >> 4) % 3],
        secure: recipients & 8 != 0,
        eightbit: if policy & 2 != 0 { EightBit::Bounce } else { EightBit::Send },
        max_recipients: usize::from(policy >> 2 & 3),
        pipelining_window_bytes: if policy & 16 != 0 { 16 << 10 } else { 60 },
        probe: policy & 32 != 0,
        ..Settings::new("me.example")
    };
    let run = |cut: usize| {
        let mut script = script.iter();
        let session = Session::new(settings.clone(), envelope(usize::from(recipients % 8)));
        session_log(session, b".x\r\n\ny", cut, &mut |asks, log| match (asks, script.next().copied()) {
            (Asks::Done, Some(0..100)) => {
                log.push("E: begin".to_owned());
                Does::Begin(envelope(usize::from(recipients % 8)))
            }
            (_, byte) => does(asks, byte, log),
        })
    };
    let whole = run(usize::MAX);
    assert_eq!(whole, run(usize::from(cut % 16) + 1), "cut");
    let is_outcome =
        |line: &&String| line.strip_prefix("E: ").is_some_and(|event| event.starts_with(char::is_numeric));
    let outcomes = whole.iter().filter(is_outcome).count();
    let messages = 1 + whole.iter().filter(|line| *line == "E: begin").count();
    assert_eq!(outcomes, messages * usize::from(recipients % 8), "{whole:#?}");
}

fn does(asks: Asks, byte: Option<u8>, log: &[String]) -> Does {
    let Some(byte) = byte else {
        return Does::Lost(Lost::Closed);
    };
    match (asks, byte) {
        (Asks::Input(_), 250..) => Does::Lost(Lost::TimedOut),
        (Asks::Input(_), _) => {
            let reply = REPLIES[usize::from(byte) % REPLIES.len()];
            let answers_starttls = log.last().is_some_and(|line| line == "C: STARTTLS");
            // Whoever stands in between says what should be said later, in TLS.
            let injected =
                if answers_starttls && reply == "220 mx" { "250-mx\r\n250 DSN\r\n250 ok\r\n" } else { "" };
            Does::Says(format!("{reply}\r\n{injected}").into_bytes())
        }
        (Asks::Tls, 240..) => Does::Lost(Lost::TimedOut),
        (Asks::Tls, 200..) => Does::NoTls,
        (Asks::Tls, 100..) => Does::Says(b"250 ok\r\n".to_vec()),
        (Asks::Body | Asks::Dot, 240..) => Does::Lost(Lost::Ours("the spool is gone".to_owned())),
        (Asks::Body | Asks::Dot, 235..) => Does::Says(b"451 stop\r\n".to_vec()),
        _ => Does::GoesOn,
    }
}

/// Any bytes at all from the peer.
pub fn fuzz_client_garbage(bytes: &[u8]) {
    let [policy, piece, stream @ ..] = bytes else {
        return;
    };
    let settings = Settings { lmtp: policy & 1 != 0, ..Settings::new("me.example") };
    let mut pieces = stream.chunks(usize::from(*piece) + 1);
    let session = Session::new(settings, envelope(3));
    let log = session_log(session, b"x", usize::MAX, &mut |asks, _| match asks {
        Asks::Input(_) => pieces.next().map_or(Does::Lost(Lost::Closed), |piece| Does::Says(piece.to_vec())),
        _ => Does::GoesOn,
    });
    let outcomes = (0..3).filter(|n| log.iter().any(|line| line.starts_with(&format!("E: {n} ")))).count();
    assert_eq!(outcomes, 3, "{log:#?}");
}

/// A message, encoded in pieces, has no bare newline and one end, the last; decoded, it is the
/// message with every newline CRLF.
pub fn fuzz_encoder(bytes: &[u8]) {
    let [cut, message @ ..] = bytes else {
        return;
    };
    let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
    for mut piece in message.chunks(usize::from(cut % 16) + 1) {
        while !piece.is_empty() {
            let (taken, out) = encoder.next(piece);
            wire.extend_from_slice(out);
            piece = &piece[taken..];
        }
    }
    wire.extend_from_slice(encoder.terminator());
    assert_one_reading(&wire);
    let (mut decoder, mut content, mut used) = (Decoder::for_data(), Vec::new(), 0);
    loop {
        assert!(used < wire.len(), "no end");
        let (taken, piece) = decoder.next(&wire[used..]);
        used += taken;
        match piece {
            Piece::More => {}
            Piece::Content(bytes) => content.extend_from_slice(bytes),
            Piece::End => break,
        }
    }
    assert_eq!((used, decoder.bare_newlines()), (wire.len(), 0), "{}", wire.escape_ascii());
    assert_eq!(content, with_crlf(message));
}

/// Whatever a server takes for the end of a line, it finds the same lines, and one end: CRLF is the
/// only newline there is, the lone dot stands in the last line, and no other line begins with one dot.
pub fn assert_one_reading(wire: &[u8]) {
    let text = wire.strip_suffix(b"\r\n").unwrap_or_default();
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    assert_eq!(rest, b".", "the last line of {}", wire.escape_ascii());
    for line in lines {
        assert!(!line.iter().any(|b| matches!(b, b'\r' | b'\n')), "bare in {}", wire.escape_ascii());
        assert!(!line.starts_with(b".") || line.starts_with(b".."), "a dot in {}", wire.escape_ascii());
    }
}

/// The slow and obvious way: every CRLF, CR and LF is a line end, and the last line has one.
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let (mut lines, mut rest) = (Vec::new(), message);
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        lines.extend_from_slice(&rest[..at]);
        lines.extend_from_slice(b"\r\n");
        rest = rest[at..].strip_prefix(b"\r\n").unwrap_or(&rest[at + 1..]);
    }
    if !rest.is_empty() {
        lines.extend_from_slice(rest);
        lines.extend_from_slice(b"\r\n");
    }
    lines
}
