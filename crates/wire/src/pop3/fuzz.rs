//! A caller of either session for fuzz targets and tests: any bytes may go in. They end in an
//! assertion where a promise of this module is broken, and nowhere else.

use std::sync::Arc;

use super::Uidl;
use super::server::{Admission, Closing, Listed, Session, Settings, Step};

mod client;

pub use client::{Collected, Collecting, Peer, collect, fuzz_client};

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
