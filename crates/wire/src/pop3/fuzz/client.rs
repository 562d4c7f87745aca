//! A caller of the collecting session.

use std::collections::VecDeque;

use super::MAX_STEPS;
use crate::pop3::Password;
use crate::pop3::client::{
    Deletions, Ending, Fault, Lost, Mechanism, Request, Session, Settings, SignIn, Step, Tls, Wait, Why,
};

/// What a collecting session sends, reports and ends with. Its caller wants every message, and has
/// those deleted that it has whole.
pub struct Collected {
    /// Lines sent (`C: …`) and steps (`E: …`).
    pub log: Vec<String>,
    /// Numbers and bytes of complete messages.
    pub messages: Vec<(u32, Vec<u8>)>,
    /// Numbers and bytes of headers.
    pub headers: Vec<(u32, Vec<u8>)>,
    /// Numbers the server has marked.
    pub marked: Vec<u32>,
    /// The end.
    pub ending: Ending,
}

/// What a server says to what it is sent; none if the connection is lost.
pub type Peer<'a> = dyn FnMut(Wait, &[u8]) -> Option<Vec<u8>> + 'a;

/// Runs a collecting session to its end. `peer` is given what is sent. Input is given in
/// pieces of `cut` bytes.
pub fn collect(settings: Settings, cut: usize, peer: &mut Peer<'_>) -> Collected {
    Collecting { settings, sign_in: sign_in(), headers_first: false, cut }.run(peer)
}

/// What is collected, and how.
pub struct Collecting {
    /// Of the session.
    pub settings: Settings,
    /// Who signs in.
    pub sign_in: SignIn,
    /// Asks for the header of each message before it asks for the message.
    pub headers_first: bool,
    /// Input is given in pieces of so many bytes.
    pub cut: usize,
}

impl Collecting {
    /// Runs the session to its end.
    pub fn run(self, peer: &mut Peer<'_>) -> Collected {
        let Self { settings, sign_in, headers_first, cut } = self;
        let mut run = Run {
            most: settings.max_message_bytes,
            // Until TLS is there.
            guarded: settings.tls == Tls::Required,
            said_openly: Vec::new(),
            session: Session::new(settings, sign_in),
            headers_first,
            asked: VecDeque::new(),
            wanted: Vec::new(),
            content: Vec::new(),
            written: Vec::new(),
            log: Vec::new(),
            messages: Vec::new(),
            headers: Vec::new(),
            marked: Vec::new(),
        };
        let (mut input, mut given, mut used) = (Vec::new(), 0, 0);
        for _ in 0..MAX_STEPS {
            let (taken, step) = run.session.next(&input[used..given]);
            used += taken;
            assert!(used <= given);
            if let Step::Closed(ending) = step {
                run.write();
                run.log.push(format!("E: closed {ending:?}"));
                let Run { log, messages, headers, marked, .. } = run;
                return Collected { log, messages, headers, marked, ending };
            }
            if step == Step::StartTls {
                assert_eq!(used, given, "input left");
                run.secure();
                // What comes after is the handshake's.
                (used, given) = (input.len(), input.len());
                continue;
            }
            let Some(wait) = run.step(step) else {
                continue;
            };
            assert_eq!(used, given, "input left");
            if used == input.len() {
                match peer(wait, &std::mem::take(&mut run.written)) {
                    Some(said) => (input, given, used) = (said, 0, 0),
                    None => run.session.lost(Lost::Closed),
                }
            }
            given = input.len().min(given.saturating_add(cut.max(1)));
        }
        assert!(run.log.is_empty(), "the session does not end");
        let ending = Ending { why: Why::Quit, deletions: Deletions::Nothing };
        Collected { log: run.log, messages: vec![], headers: vec![], marked: vec![], ending }
    }
}

/// All that may be said before TLS, where TLS must be.
const OPENLY: [&[u8]; 5] =
    [b"", b"CAPA\r\n", b"CAPA\r\nQUIT\r\n", b"CAPA\r\nSTLS\r\n", b"CAPA\r\nSTLS\r\nQUIT\r\n"];

struct Run {
    session: Session,
    most: u64,
    /// TLS must be, and is not there yet.
    guarded: bool,
    said_openly: Vec<u8>,
    headers_first: bool,
    /// Requested, and not yet answered.
    asked: VecDeque<Request>,
    /// Not yet requested.
    wanted: Vec<Request>,
    content: Vec<u8>,
    written: Vec<u8>,
    log: Vec<String>,
    messages: Vec<(u32, Vec<u8>)>,
    headers: Vec<(u32, Vec<u8>)>,
    marked: Vec<u32>,
}

impl Run {
    /// What is waited for, if it is input.
    fn step(&mut self, step: Step<'_>) -> Option<Wait> {
        self.write();
        match step {
            Step::NeedInput(wait) => return Some(wait),
            Step::Content(piece) => {
                assert!(!piece.is_empty());
                self.content.extend_from_slice(piece);
                assert!(self.content.len() as u64 <= self.most);
                return None;
            }
            Step::End { number, bytes, .. } => {
                assert_eq!(self.content.len() as u64, bytes);
                self.log.push(format!("E: {number} {}", self.content.escape_ascii()));
                self.complete(number);
                return None;
            }
            Step::Begin { number } => {
                assert!(self.content.is_empty(), "two at a time");
                assert_eq!(self.asked.front().map(|request| request.number()), Some(number));
            }
            Step::TooBig { .. } => {
                self.asked.pop_front();
                self.content.clear();
            }
            Step::Deleted { number } => {
                assert_eq!(self.asked.pop_front(), Some(Request::Delete(number)));
                self.marked.push(number);
            }
            Step::Refused { request, .. } => assert_eq!(self.asked.pop_front(), Some(request)),
            Step::Listed => self.want_all(),
            Step::Idle => self.ask(),
            _ => {}
        }
        self.log.push(format!("E: {step:?}"));
        None
    }

    fn complete(&mut self, number: u32) {
        let content = std::mem::take(&mut self.content);
        match self.asked.pop_front() {
            Some(Request::Top(top)) if top == number => self.headers.push((number, content)),
            asked => {
                assert_eq!(asked, Some(Request::Retrieve(number)), "an answer to what was not asked");
                self.messages.push((number, content));
                self.wanted.push(Request::Delete(number));
            }
        }
    }

    fn secure(&mut self) {
        self.write();
        assert!(std::mem::take(&mut self.guarded), "TLS twice, or unasked");
        self.log.push("E: StartTls".to_owned());
        self.session.secured();
    }

    fn want_all(&mut self) {
        let listing = self.session.listing();
        for number in listing.entries.iter().map(|entry| entry.number) {
            self.wanted.extend(self.headers_first.then_some(Request::Top(number)));
            self.wanted.push(Request::Retrieve(number));
        }
        self.log.push(format!("E: {listing:?}"));
    }

    /// All that is wanted; QUIT if nothing is.
    fn ask(&mut self) {
        if self.wanted.is_empty() {
            self.session.quit();
        }
        for request in std::mem::take(&mut self.wanted) {
            match self.session.request(request) {
                Ok(()) => self.asked.push_back(request),
                Err(why) => self.log.push(format!("E: {request:?} not taken: {why}")),
            }
        }
    }

    fn write(&mut self) {
        let output = std::mem::take(self.session.output());
        assert!(output.len() <= 8 << 10, "output of {}", output.len());
        assert!(output.is_empty() || output.ends_with(b"\r\n"), "not whole lines");
        if self.guarded {
            self.said_openly.extend_from_slice(&output);
            assert!(OPENLY.contains(&&self.said_openly[..]), "in the clear: {}", output.escape_ascii());
        }
        let text = String::from_utf8_lossy(&output);
        for line in text.split_terminator("\r\n") {
            assert!(!line.contains(['\r', '\n']), "a bare newline in {line:?}");
            self.log.push(format!("C: {line}"));
        }
        self.written.extend_from_slice(&output);
    }
}

/// Jane, with the password `a b`.
#[allow(clippy::expect_used)] // A constant.
fn sign_in() -> SignIn {
    let password = Password::new("a b").expect("a password");
    SignIn::new("jane", password).expect("a name")
}

/// Jane, by what two bits say; the third makes her token too long for one line with AUTH.
#[allow(clippy::expect_used)] // Constants.
fn sign_in_by(bits: u8) -> SignIn {
    let mechanism = match bits & 3 {
        0 => return sign_in(),
        1 => Some(Mechanism::XOAuth2),
        2 => Some(Mechanism::OAuthBearer),
        _ => None,
    };
    let token = Password::new("t".repeat(if bits & 4 == 0 { 8 } else { 300 })).expect("a token");
    SignIn::bearer("jane", token, mechanism, "pop.example", 995).expect("a name")
}

/// What a server may say; the first ones get far.
const REPLIES: [&str; 25] = [
    "+OK",
    "+OK\r\nUIDL\r\nPIPELINING\r\n.",
    "+OK 2 30",
    "+OK\r\n1 10\r\n2 20\r\n.",
    "+OK\r\n1 a\r\n2 b\r\n.",
    "+OK\r\nSubject: x\r\n\r\n..dot\r\n.",
    "+OK\r\n.",
    "-ERR no",
    "-ERR [AUTH] no",
    "+OK\r\nTOP\r\n.",
    "+OK 0 0",
    "+OK 99999999999999999999 1",
    "+OK\r\n2 1\r\n1 1\r\n.",
    "+OK\r\n1 99999999999999999999\r\n.",
    "+OK\r\n1 10\r\n2 20\r\n3 30\r\n4 40\r\n5 50\r\n.",
    "+OK\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n.",
    "+OKAY",
    "hello",
    ".",
    "+OK\r\na\rb\nc\r\n.",
    "+OK\r\nSTLS\r\n.",
    "+OK\r\nAN ANSWER TO NOTHING",
    "+OK\r\nSASL PLAIN XOAUTH2 OAUTHBEARER\r\nSTLS\r\n.",
    "+",
    "+ eyJzdGF0dXMiOiI0MDEifQ==",
];

/// A server that answers as the bytes say, one response for each wait, or (mode 1) with the bytes
/// themselves. Input in pieces makes no difference.
pub fn fuzz_client(bytes: &[u8]) {
    let [mode, cut, script @ ..] = bytes else {
        return;
    };
    let settings = Settings {
        max_message_bytes: 40,
        max_listed: 3,
        max_listing_lines: 4,
        max_pipelined: usize::from(mode >> 1 & 3),
        tls: if mode & 8 == 0 { Tls::None } else { Tls::Required },
    };
    let collecting = |cut| Collecting {
        settings: settings.clone(),
        sign_in: sign_in_by(mode >> 4),
        headers_first: mode & 128 != 0,
        cut,
    };
    if mode & 1 == 1 {
        let mut pieces = script.chunks(usize::from(*cut) + 1);
        check(&collecting(usize::MAX).run(&mut |_, _| pieces.next().map(<[u8]>::to_vec)));
        return;
    }
    let run = |cut| {
        let mut script = script.iter();
        collecting(cut).run(&mut |_, _| {
            let reply = REPLIES[usize::from(*script.next()?) % REPLIES.len()];
            Some(format!("{reply}\r\n").into_bytes())
        })
    };
    let whole = run(usize::MAX);
    check(&whole);
    // What comes unasked is noticed only if it has come.
    if whole.ending.why != Why::Fault(Fault::Unasked) {
        assert_eq!(whole.log, run(usize::from(cut % 16) + 1).log, "cut");
    }
}

/// Who signs in is said once, and what is said of the deletions is not more than can be known.
fn check(run: &Collected) {
    let shows = |line: &&String| ["C: PASS ", "C: AUTH "].iter().any(|said| line.starts_with(said));
    assert!(run.log.iter().filter(shows).count() <= 1, "a second try");
    let said_quit = run.log.iter().any(|line| line == "C: QUIT");
    match run.ending.deletions {
        Deletions::Nothing => assert!(run.marked.is_empty() || !said_quit),
        Deletions::Done => assert!(said_quit && run.ending.why == Why::Quit && !run.marked.is_empty()),
        Deletions::Unknown => assert!(said_quit && run.ending.why != Why::Quit && !run.marked.is_empty()),
    }
    let has = |number| run.messages.iter().any(|(whole, _)| whole == number);
    assert!(run.marked.iter().all(has), "deleted, and never had");
}
