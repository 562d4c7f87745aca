//! A caller of either session for fuzz targets and tests: any bytes may go in. They end in an
//! assertion where a promise of this module is broken, and nowhere else.

use std::sync::Arc;

use super::client::{self, Deletions, Ending, Fault, Request, SignIn, Wait, Why};
use super::server::{Admission, Closing, Listed, Session, Settings, Step};
use super::{Password, Uidl};

/// Output the serving session may gather before it wants it written.
const MAX_OUTPUT_BYTES: usize = 64 << 10;
/// Steps of one run: more than any of them needs.
const MAX_STEPS: usize = 200_000;

/// The caller of a serving session, with a maildrop in memory. Password `wrong` is refused, user
/// `busy` is told that the maildrop is in use, user `trouble` that there is trouble. A message that
/// begins with `!` cannot be read, one that begins with `?` breaks off in the middle.
pub struct Host {
    session: Session,
    messages: Vec<Vec<u8>>,
    /// What QUIT has deleted.
    pub commits: Vec<Vec<u32>>,
    /// Whether deletions can be made.
    pub commits_work: bool,
    /// Why the session ended.
    pub closed: Option<Closing>,
    sending: Vec<u8>,
    piece: usize,
    pending: Vec<u8>,
}

impl Host {
    /// One with these messages, which it gives out in pieces of `piece` bytes.
    pub fn new(settings: Settings, messages: &[&[u8]], piece: usize) -> Self {
        Self {
            session: Session::new(Arc::new(settings)),
            messages: messages.iter().map(|message| message.to_vec()).collect(),
            commits: Vec::new(),
            commits_work: true,
            closed: None,
            sending: Vec::new(),
            piece: piece.max(1),
            pending: Vec::new(),
        }
    }

    /// What it says to some input, in all.
    pub fn says(&mut self, input: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(input);
        let (mut used, mut said) = (0, Vec::new());
        for _ in 0..MAX_STEPS {
            let (taken, step) = self.session.next(&self.pending[used..]);
            used += taken;
            assert!(self.session.output().len() <= MAX_OUTPUT_BYTES);
            said.append(self.session.output());
            match step {
                Step::NeedInput => {
                    assert_eq!(used, self.pending.len(), "input left");
                    self.pending.clear();
                    return said;
                }
                Step::Closed(why) => {
                    self.closed = Some(why);
                    return said;
                }
                other => self.does(other),
            }
        }
        assert!(said.is_empty(), "the session does not end");
        said
    }

    fn does(&mut self, step: Step) {
        match step {
            Step::SignIn { question, user, password } => {
                assert!(!user.is_empty());
                let admission = match (user.as_str(), password.as_bytes()) {
                    ("busy", _) => Admission::InUse,
                    ("trouble", _) => Admission::Trouble,
                    (_, b"wrong") => Admission::Refused,
                    _ => Admission::Admitted(self.listed()),
                };
                self.session.admit(question, admission);
            }
            Step::Retrieve { number, .. } => self.sending.clone_from(&self.messages[number as usize - 1]),
            Step::NeedContent => self.content(),
            Step::Commit { question, deleted } => {
                assert!(!deleted.is_empty() && deleted.is_sorted_by(|a, b| a < b), "{deleted:?}");
                assert!(deleted.iter().all(|number| (1..=self.messages.len()).contains(&(*number as usize))));
                if self.commits_work {
                    self.commits.push(deleted);
                }
                assert!(self.commits.len() <= 1, "two commits");
                self.session.committed(question, self.commits_work);
            }
            _ => {}
        }
    }

    fn listed(&self) -> Vec<Listed> {
        let uidl = |place| Uidl::new(format!("id{place}").as_bytes()).ok();
        let listed = |(place, message): (usize, &Vec<u8>)| {
            Some(Listed { bytes: message.len() as u64, uidl: uidl(place + 1)? })
        };
        self.messages.iter().enumerate().filter_map(listed).collect()
    }

    fn content(&mut self) {
        match self.sending.first() {
            None => self.session.content_end(),
            Some(b'!') => self.session.content_failed(),
            Some(_) => {
                let most = self.piece.min(self.sending.len());
                let taken = self.session.content(&self.sending[..most]);
                assert!(taken <= most);
                let breaks_off = self.sending.first() == Some(&b'?');
                self.sending.drain(..taken);
                if breaks_off {
                    self.session.content_failed();
                }
            }
        }
    }
}

/// Commands from anybody, read whole and in pieces: the responses and deletions are the same, and
/// nothing is deleted without QUIT. The first byte gives the settings, the second the size of pieces.
pub fn fuzz_server(bytes: &[u8]) {
    let [policy, cut, stream @ ..] = bytes else {
        return;
    };
    let whole = served(*policy, stream, stream.len());
    let cut = usize::from(*cut % 16) + 1;
    assert_eq!(whole, served(*policy, stream, cut), "cut into {cut}");
    let (_, commits, closed) = whole;
    assert!(commits.is_empty() || closed == Some(Closing::Quit), "{commits:?} and {closed:?}");
}

type Served = (Vec<u8>, Vec<Vec<u32>>, Option<Closing>);

fn served(policy: u8, stream: &[u8], cut: usize) -> Served {
    let settings = Settings {
        max_line_bytes: 64,
        max_messages: 5,
        max_sign_ins: 2,
        max_errors: 6,
        max_commands: 60,
        offer_capa: policy & 1 == 0,
        offer_uidl: policy & 2 == 0,
        ..Settings::new("pop.example")
    };
    let messages: [&[u8]; 6] = [
        b"Subject: one\r\n\r\n.dot\r\nb\r\n",
        b"Subject: two\n\nno end",
        b"",
        b"!cannot be read",
        if policy & 4 == 0 { b"a\r\n.\r\nb" } else { b"?breaks off" },
        b"not shown",
    ];
    let mut host = Host::new(settings, &messages, usize::from(policy >> 5) + 1);
    host.commits_work = policy & 8 == 0;
    let mut said = host.says(b"");
    for piece in stream.chunks(cut.max(1)) {
        said.extend(host.says(piece));
    }
    (said, host.commits, host.closed)
}

/// What a collecting session sends, reports and ends with. Its caller wants every message, and has
/// those deleted that it has whole.
pub struct Collected {
    /// Lines sent (`C: …`) and steps (`E: …`).
    pub log: Vec<String>,
    /// Numbers and bytes of complete messages.
    pub messages: Vec<(u32, Vec<u8>)>,
    /// Numbers the server has marked.
    pub marked: Vec<u32>,
    /// The end.
    pub ending: Ending,
}

/// What a server says to what it is sent; none if the connection is lost.
pub type Peer<'a> = dyn FnMut(Wait, &[u8]) -> Option<Vec<u8>> + 'a;

/// Runs a collecting session to its end. `peer` is given what is sent. Input is given in
/// pieces of `cut` bytes.
pub fn collect(settings: client::Settings, cut: usize, peer: &mut Peer<'_>) -> Collected {
    let mut run = Run {
        most: settings.max_message_bytes,
        session: client::Session::new(settings, sign_in()),
        wanted: Vec::new(),
        content: Vec::new(),
        written: Vec::new(),
        log: Vec::new(),
        messages: Vec::new(),
        marked: Vec::new(),
    };
    let (mut input, mut given, mut used) = (Vec::new(), 0, 0);
    for _ in 0..MAX_STEPS {
        let (taken, step) = run.session.next(&input[used..given]);
        used += taken;
        assert!(used <= given);
        if let client::Step::Closed(ending) = step {
            run.write();
            run.log.push(format!("E: closed {ending:?}"));
            let Run { log, messages, marked, .. } = run;
            return Collected { log, messages, marked, ending };
        }
        let Some(wait) = run.step(step) else {
            continue;
        };
        assert_eq!(used, given, "input left");
        if used == input.len() {
            match peer(wait, &std::mem::take(&mut run.written)) {
                Some(said) => (input, given, used) = (said, 0, 0),
                None => run.session.lost(client::Lost::Closed),
            }
        }
        given = input.len().min(given.saturating_add(cut.max(1)));
    }
    assert!(run.log.is_empty(), "the session does not end");
    let ending = Ending { why: Why::Quit, deletions: Deletions::Nothing };
    Collected { log: run.log, messages: vec![], marked: vec![], ending }
}

struct Run {
    session: client::Session,
    most: u64,
    /// Not yet requested.
    wanted: Vec<Request>,
    content: Vec<u8>,
    written: Vec<u8>,
    log: Vec<String>,
    messages: Vec<(u32, Vec<u8>)>,
    marked: Vec<u32>,
}

impl Run {
    /// What is waited for, if it is input.
    fn step(&mut self, step: client::Step<'_>) -> Option<Wait> {
        self.write();
        match step {
            client::Step::NeedInput(wait) => return Some(wait),
            client::Step::Content(piece) => {
                assert!(!piece.is_empty());
                self.content.extend_from_slice(piece);
                assert!(self.content.len() as u64 <= self.most);
                return None;
            }
            client::Step::End { number, bytes, .. } => {
                assert_eq!(self.content.len() as u64, bytes);
                self.log.push(format!("E: {number} {}", self.content.escape_ascii()));
                self.messages.push((number, std::mem::take(&mut self.content)));
                self.wanted.push(Request::Delete(number));
                return None;
            }
            client::Step::Begin { .. } => assert!(self.content.is_empty(), "two at a time"),
            client::Step::TooBig { .. } => self.content.clear(),
            client::Step::Deleted { number } => self.marked.push(number),
            client::Step::Listed => self.want_all(),
            client::Step::Idle => self.ask(),
            _ => {}
        }
        self.log.push(format!("E: {step:?}"));
        None
    }

    fn want_all(&mut self) {
        let listing = self.session.listing();
        let numbers: Vec<u32> = listing.entries.iter().map(|entry| entry.number).collect();
        self.wanted.extend(numbers.into_iter().map(Request::Retrieve));
        self.log.push(format!("E: {listing:?}"));
    }

    /// All that is wanted; QUIT if nothing is.
    fn ask(&mut self) {
        if self.wanted.is_empty() {
            self.session.quit();
        }
        for request in std::mem::take(&mut self.wanted) {
            if let Err(why) = self.session.request(request) {
                self.log.push(format!("E: {request:?} not taken: {why}"));
            }
        }
    }

    fn write(&mut self) {
        let output = std::mem::take(self.session.output());
        assert!(output.len() <= 8 << 10, "output of {}", output.len());
        assert!(output.is_empty() || output.ends_with(b"\r\n"), "not whole lines");
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

/// What a server may say; the first ones get far.
const REPLIES: [&str; 20] = [
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
];

/// A server that answers as the bytes say, one response for each wait, or (mode 1) with the bytes
/// themselves. Input in pieces makes no difference.
pub fn fuzz_client(bytes: &[u8]) {
    let [mode, cut, script @ ..] = bytes else {
        return;
    };
    let settings = client::Settings {
        max_message_bytes: 40,
        max_listed: 3,
        max_listing_lines: 4,
        max_pipelined: usize::from(mode >> 1 & 3),
    };
    if mode & 1 == 1 {
        let mut pieces = script.chunks(usize::from(*cut) + 1);
        check(&collect(settings, usize::MAX, &mut |_, _| pieces.next().map(<[u8]>::to_vec)));
        return;
    }
    let run = |cut| {
        let mut script = script.iter();
        collect(settings.clone(), cut, &mut |_, _| {
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

/// What is said of the deletions is not more than can be known.
fn check(run: &Collected) {
    let said_quit = run.log.iter().any(|line| line == "C: QUIT");
    match run.ending.deletions {
        Deletions::Nothing => assert!(run.marked.is_empty() || !said_quit),
        Deletions::Done => assert!(said_quit && run.ending.why == Why::Quit && !run.marked.is_empty()),
        Deletions::Unknown => assert!(said_quit && run.ending.why != Why::Quit && !run.marked.is_empty()),
    }
    let has = |number| run.messages.iter().any(|(whole, _)| whole == number);
    assert!(run.marked.iter().all(has), "deleted, and never had");
}
