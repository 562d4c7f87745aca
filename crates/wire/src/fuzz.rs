//! Entry points for fuzz targets and property tests: any bytes may go in. They end in an assertion
//! where a promise of this crate is broken, and nowhere else.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::data::{Decoder, Piece};
use crate::line::{Framed, Framer};
use crate::reply::Reply;
use crate::sasl::{Credentials, Mechanism, StoredScram};
use crate::server::{BareNewlines, Question, RcptTo, Session, Settings, Step};

/// Output a session may gather before it wants it written: 16 KiB, and two long replies.
const MAX_OUTPUT_BYTES: usize = 24 << 10;

/// What a session says and reports when it reads `stream` in pieces of `cut` bytes: a line for each
/// reply line (`S: …`) and each step (`E: …`). A stream that begins with [`HANDSHAKE`] begins with TLS.
/// `answers` gives the reply to each question, and to the
/// end of content in LMTP the reply for each recipient that was accepted.
pub fn session_log(
    settings: &Arc<Settings>,
    stream: &[u8],
    cut: usize,
    answers: &mut dyn FnMut(&str) -> Reply,
) -> Vec<String> {
    let session = Session::new(Arc::clone(settings));
    let mut run =
        Run { session, lmtp: settings.lmtp, accepted: 0, log: vec![], content: vec![], handshake: false };
    let stream = run.begin(stream);
    let mut pending = Vec::new();
    for piece in flights(stream, cut.max(1)) {
        if run.handshake && piece == [HANDSHAKE] {
            run.secured();
            continue;
        }
        pending.extend_from_slice(piece);
        let mut used = 0;
        loop {
            let (taken, more) = run.step(&pending[used..], answers);
            used += taken;
            if !more {
                break;
            }
        }
        pending.drain(..used);
    }
    run.log
}

/// The first byte of a TLS handshake (RFC 8446 §5.1): in a stream it stands for all of it, where the
/// session waits for one.
const HANDSHAKE: u8 = 0x16;

/// The stream in pieces of `cut` bytes, each [`HANDSHAKE`] a piece of its own.
fn flights(stream: &[u8], cut: usize) -> impl Iterator<Item = &[u8]> {
    stream.chunk_by(|a, b| *a != HANDSHAKE && *b != HANDSHAKE).flat_map(move |flight| flight.chunks(cut))
}

struct Run {
    session: Session,
    lmtp: bool,
    /// Recipients of the transaction.
    accepted: usize,
    log: Vec<String>,
    content: Vec<u8>,
    /// It waits for TLS.
    handshake: bool,
}

impl Run {
    /// Takes the greeting, and the TLS that the stream begins with: what follows it.
    fn begin<'a>(&mut self, stream: &'a [u8]) -> &'a [u8] {
        let implicit = stream.strip_prefix(&[HANDSHAKE]);
        if implicit.is_some() {
            self.session.secured();
        }
        self.write();
        implicit.unwrap_or(stream)
    }

    fn secured(&mut self) {
        assert!(!self.session.is_secure(), "TLS in TLS");
        self.session.secured();
        (self.handshake, self.accepted) = (false, 0);
        self.log.push("E: secured".to_owned());
    }

    /// One step: the bytes it took, and whether to go on without further input.
    fn step(&mut self, input: &[u8], answers: &mut dyn FnMut(&str) -> Reply) -> (usize, bool) {
        let (taken, step) = self.session.next(input);
        assert!(taken <= input.len());
        let (question, event) = match step {
            Step::NeedInput => {
                assert_eq!(taken, input.len(), "input left");
                self.write();
                return (taken, false);
            }
            Step::Closed(why) => {
                self.write();
                let event = format!("E: closed {why:?}");
                if self.log.last() != Some(&event) {
                    self.log.push(event);
                }
                return (taken, false);
            }
            Step::StartTls => {
                assert_eq!(taken, input.len(), "input kept that came before TLS");
                self.write();
                self.content.clear();
                if !std::mem::replace(&mut self.handshake, true) {
                    self.log.push("E: starttls".to_owned());
                }
                return (taken, false);
            }
            Step::Flush => {
                self.write();
                return (taken, true);
            }
            Step::Data(piece) => {
                assert!(!piece.is_empty());
                self.content.extend_from_slice(piece);
                return (taken, true);
            }
            other => self.event(other),
        };
        self.write();
        if let Some(question) = question {
            let (again, step) = self.session.next(&input[taken..]);
            assert!(again == 0 && matches!(step, Step::NeedAnswer | Step::Flush));
            self.answer(question, &event, answers);
        }
        self.log.push(format!("E: {event}"));
        (taken, true)
    }

    fn answer(&mut self, question: Question, event: &str, answers: &mut dyn FnMut(&str) -> Reply) {
        if self.lmtp && event.starts_with("end") {
            let replies = (0..self.accepted).map(|_| answers(event)).collect();
            self.session.answer_each(question, replies);
            let said = self.session.output().split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
            return assert_eq!(said, self.accepted, "answers to content");
        }
        let reply = answers(event);
        if event.starts_with("stored ") {
            return self.session.stored(question, reply.is_positive().then(pencil), &[7; 18]);
        }
        match event.split(' ').next() {
            Some("mail") => self.accepted = 0,
            Some("rcpt") => self.accepted += usize::from(reply.is_positive()),
            _ => {}
        }
        self.session.answer(question, reply);
    }

    fn event(&mut self, step: Step<'_>) -> (Option<Question>, String) {
        match step {
            Step::Hello { name, esmtp } => {
                self.content.clear();
                (None, format!("hello {name}{}", if esmtp { " esmtp" } else { "" }))
            }
            Step::Mail(question, mail) => {
                let path = mail.reverse_path.address();
                let facts = [
                    (mail.reverse_path.source_route(), " route".to_owned()),
                    (mail.size_bytes.is_some(), format!(" size={}", mail.size_bytes.unwrap_or(0))),
                    (mail.smtputf8, " smtputf8".to_owned()),
                    (mail.eight_bit, " 8bit".to_owned()),
                    (mail.ret.is_some(), format!(" ret={:?}", mail.ret)),
                    (mail.envid.is_some(), format!(" envid={:?}", mail.envid)),
                ];
                (Some(question), format!("mail <{path}>{}", joined(facts)))
            }
            Step::Rcpt(question, rcpt) => (Some(question), describe_rcpt(&rcpt)),
            Step::SignIn(question, credentials) => (Some(question), describe_credentials(&credentials)),
            Step::StoredFor(question, user) => (Some(question), format!("stored {user}")),
            Step::Begin { question, declared_bytes, bdat } => {
                let how = if bdat { "bdat" } else { "data" };
                let size = declared_bytes.map_or("-".to_owned(), |bytes| bytes.to_string());
                (Some(question), format!("begin {how} {size}"))
            }
            Step::End { question, bytes, bare_newlines } => {
                let content = std::mem::take(&mut self.content);
                assert_eq!(content.len() as u64, bytes);
                (Some(question), format!("end {bytes} {bare_newlines} {}", content.escape_ascii()))
            }
            _ => {
                self.content.clear();
                (None, "reset".to_owned())
            }
        }
    }

    /// Writes the output, as the caller would.
    fn write(&mut self) {
        let output = self.session.output();
        assert!(output.len() <= MAX_OUTPUT_BYTES, "output of {}", output.len());
        let text = String::from_utf8_lossy(output).into_owned();
        output.clear();
        self.log.extend(text.split_terminator("\r\n").map(|line| format!("S: {line}")));
    }
}

fn joined<const N: usize>(facts: [(bool, String); N]) -> String {
    facts.into_iter().filter(|(given, _)| *given).map(|(_, text)| text).collect()
}

fn describe_rcpt(rcpt: &RcptTo) -> String {
    let facts = [
        (rcpt.forward_path.source_route(), " route".to_owned()),
        (rcpt.forward_path.is_quoted(), " quoted".to_owned()),
        (rcpt.notify.is_some(), format!(" notify={:?}", rcpt.notify)),
        (rcpt.orcpt.is_some(), format!(" orcpt={:?}", rcpt.orcpt)),
    ];
    format!("rcpt <{}>{}", rcpt.forward_path.address(), joined(facts))
}

fn describe_credentials(credentials: &Credentials) -> String {
    match credentials {
        Credentials::Password { user, password } => {
            format!("signin {user} password {}", password.as_bytes().escape_ascii())
        }
        Credentials::Token { user, token } => {
            let user = user.as_deref().unwrap_or("-");
            format!("signin {user} token {}", token.as_bytes().escape_ascii())
        }
        Credentials::Scram { user, proved } => format!("signin {user} proved {proved}"),
    }
}

/// What everybody has stored, of the password `pencil`.
fn pencil() -> StoredScram {
    StoredScram::of(b"pencil", b"salt of sixteen.".to_vec(), NonZeroU32::MIN)
}

/// A session with small limits reads the bytes whole and in pieces, and must say the same; its
/// output stays in proportion to its input. The first byte gives policy, the second which answers
/// refuse, the third the size of pieces.
pub fn fuzz_session(bytes: &[u8]) {
    let [policy, refusals, cut, stream @ ..] = bytes else {
        return;
    };
    let settings = Arc::new(small_settings(*policy));
    let whole = session_log(&settings, stream, stream.len(), &mut answers(*refusals));
    let cut = usize::from(*cut % 16) + 1;
    let pieces = session_log(&settings, stream, cut, &mut answers(*refusals));
    assert_eq!(whole, pieces, "cut into {cut}");
    let ends = stream.iter().filter(|b| matches!(b, b'\r' | b'\n')).count();
    let said: usize = whole.iter().filter(|line| line.starts_with("S: ")).map(String::len).sum();
    assert!(said <= 512 * (ends + 2), "{said} bytes said to {ends} line ends");
}

fn small_settings(policy: u8) -> Settings {
    Settings {
        max_message_bytes: 40,
        max_line_bytes: 64,
        max_recipients: 3,
        max_refused_recipients: 2,
        max_commands: 100,
        max_errors: 6,
        bare_newlines: match policy & 1 {
            0 => BareNewlines::Refuse,
            _ => BareNewlines::Normalise,
        },
        offer_dsn: policy & 2 != 0,
        lmtp: policy & 4 != 0,
        offer_starttls: policy & 8 != 0,
        require_tls: policy & 16 != 0,
        auth: if policy & 32 != 0 { Mechanism::ALL.to_vec() } else { Vec::new() },
        auth_required: policy & 64 != 0,
        ..Settings::new("mx.example")
    }
}

/// Answers that refuse where a bit of `refusals` is set, in turn.
fn answers(refusals: u8) -> impl FnMut(&str) -> Reply {
    let mut asked = 0;
    move |event| {
        asked += 1;
        match (refusals >> (asked % 8)) & 1 {
            1 if refusals == 0xff => Reply::new(421, (3, 2), "stopping"),
            1 => Reply::new(if asked % 2 == 0 { 450 } else { 550 }, (1, 1), "no"),
            _ if event.starts_with("begin") => Reply::go_ahead(),
            _ => Reply::new(250, (0, 0), "ok"),
        }
    }
}

/// The line framer reads the bytes whole and in pieces, and must find the same lines.
pub fn fuzz_lines(bytes: &[u8]) {
    let [policy, cut, stream @ ..] = bytes else {
        return;
    };
    let whole = lines(stream, stream.len(), policy & 1 != 0);
    assert_eq!(whole, lines(stream, usize::from(*cut % 16) + 1, policy & 1 != 0));
    assert!(whole.iter().all(|line| line.len() <= 14), "over the limit");
    assert!(whole.iter().all(|line| !line.contains(&b'\n')), "a line in a line");
}

/// Lines of at most 14 bytes; `!` and a word for what is none.
fn lines(stream: &[u8], cut: usize, lf_ends_line: bool) -> Vec<Vec<u8>> {
    let mut framer = Framer::new(16, lf_ends_line);
    let mut found = Vec::new();
    for mut piece in stream.chunks(cut.max(1)) {
        loop {
            let (taken, framed) = framer.next(piece);
            piece = &piece[taken..];
            match framed {
                Framed::More => break,
                Framed::Line(line) => found.push(line.to_vec()),
                Framed::Joined => found.push(framer.take_joined()),
                Framed::TooLong => found.push(b"!long".to_vec()),
                Framed::Bare(byte) => {
                    found.push(vec![b'!', byte.wrapping_add(b'0')]);
                    return found;
                }
                Framed::Endless => return found,
            }
        }
    }
    found
}

/// Content (of DATA if the first byte is even, else of chunks) is decoded whole and in pieces, and
/// must come out the same.
pub fn fuzz_data(bytes: &[u8]) {
    let [kind, cut, stream @ ..] = bytes else {
        return;
    };
    let whole = decoded(stream, stream.len(), kind % 2 == 0);
    assert_eq!(whole, decoded(stream, usize::from(*cut % 16) + 1, kind % 2 == 0));
    assert!(whole.0.len() <= 2 * stream.len());
}

/// The content, how many bytes came before its end (all of them if there was none), the count of
/// bare newlines.
pub fn decoded(stream: &[u8], cut: usize, dots: bool) -> (Vec<u8>, Option<usize>, u64) {
    let mut decoder = if dots { Decoder::for_data() } else { Decoder::for_chunks() };
    let (mut content, mut used) = (Vec::new(), 0);
    for mut piece in stream.chunks(cut.max(1)) {
        while !piece.is_empty() {
            let (taken, found) = decoder.next(piece);
            used += taken;
            piece = &piece[taken..];
            match found {
                Piece::More => {}
                Piece::Content(bytes) => content.extend_from_slice(bytes),
                Piece::End => return (content, Some(used), decoder.bare_newlines()),
            }
        }
    }
    content.extend_from_slice(decoder.finish().unwrap_or_default());
    (content, None, decoder.bare_newlines())
}
