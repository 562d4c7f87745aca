//! The client session against the server session, both in LMTP: every recipient has the outcome that
//! the server's caller gave it, whatever became of the others.

use std::sync::Arc;

use proptest::prelude::*;
use quell_wire::client::fuzz::envelope;
use quell_wire::client::{self, Outcome};
use quell_wire::reply::Reply;
use quell_wire::server::{self, Session};

/// What the server's caller thinks of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    RefusedAtRcpt,
    Saved,
    Full,
    Refused,
}

impl Fate {
    fn at_rcpt(self) -> Reply {
        match self {
            Self::RefusedAtRcpt => Reply::new(550, (1, 1), "nobody"),
            _ => Reply::recipient_ok(),
        }
    }

    fn at_end(self) -> Reply {
        match self {
            Self::Full => Reply::new(452, (2, 2), "full"),
            Self::Refused => Reply::new(550, (7, 1), "no"),
            _ => Reply::new(250, (0, 0), "saved"),
        }
    }

    fn of(outcome: &Outcome) -> Self {
        match (outcome, outcome.status().to_string().as_str()) {
            (Outcome::Delivered(_), "2.0.0 250 saved") => Self::Saved,
            (Outcome::Temporary(_), "4.2.2 452 full") => Self::Full,
            (Outcome::Failed { .. }, "5.7.1 550 no") => Self::Refused,
            (Outcome::Failed { about_recipient: true, .. }, "5.1.1 550 nobody") => Self::RefusedAtRcpt,
            other => panic!("{other:?}"),
        }
    }
}

/// The server and its caller.
struct Host {
    session: Session,
    fates: Vec<Fate>,
    pending: Vec<u8>,
    asked: usize,
    content: Vec<u8>,
}

impl Host {
    /// What it says to some input.
    fn says(&mut self, input: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(input);
        let (mut used, mut said) = (0, Vec::new());
        loop {
            let (taken, step) = self.session.next(&self.pending[used..]);
            used += taken;
            match step {
                server::Step::NeedInput | server::Step::Closed(_) => break,
                server::Step::Mail(question, _) => {
                    self.asked = 0;
                    self.session.answer(question, Reply::sender_ok());
                }
                server::Step::Rcpt(question, _) => {
                    self.session.answer(question, self.fates[self.asked].at_rcpt());
                    self.asked += 1;
                }
                server::Step::Begin { question, .. } => self.session.answer(question, Reply::go_ahead()),
                server::Step::Data(piece) => self.content.extend_from_slice(piece),
                server::Step::End { question, .. } => {
                    let accepted = self.fates.iter().filter(|fate| **fate != Fate::RefusedAtRcpt);
                    let replies = accepted.map(|fate| fate.at_end()).collect();
                    self.session.answer_each(question, replies);
                }
                _ => {}
            }
            said.append(self.session.output());
        }
        said.append(self.session.output());
        self.pending.drain(..used);
        said
    }
}

/// What the client makes of two messages on one connection, and all content that arrived.
fn outcomes(fates: &[Fate], cut: usize) -> (Vec<Option<Fate>>, Vec<u8>) {
    let settings = server::Settings { lmtp: true, ..server::Settings::new("lda.example") };
    let session = Session::new(Arc::new(settings));
    let mut host = Host { session, fates: fates.to_vec(), pending: vec![], asked: 0, content: vec![] };
    let settings = client::Settings { lmtp: true, ..client::Settings::new("me.example") };
    let mut client = client::Session::new(settings, envelope(fates.len()));
    let (mut found, mut messages) = (vec![None; 2 * fates.len()], 0);
    let mut said = host.says(b"");
    loop {
        match client.next() {
            client::Step::Write(bytes) => {
                bytes.chunks(cut).for_each(|piece| said.extend(host.says(piece)));
            }
            client::Step::NeedInput(wait) => {
                assert!(!said.is_empty(), "the client waits for {wait:?}");
                let rest = said.split_off(cut.min(said.len()));
                client.input(&std::mem::replace(&mut said, rest));
            }
            client::Step::SendBody => {
                let (_, wire) = client.body(b"text\r\n");
                said.extend(host.says(wire));
                client.body_end();
            }
            client::Step::StartTls => panic!("TLS without being asked for"),
            client::Step::Dot(_) => client.dot_recorded(),
            client::Step::Outcome { recipient, outcome } => {
                let place = &mut found[messages * fates.len() + recipient];
                assert_eq!(place.replace(Fate::of(&outcome)), None, "two outcomes");
            }
            client::Step::Done if messages == 0 => {
                messages = 1;
                client.begin(envelope(fates.len())).unwrap();
            }
            client::Step::Done => client.quit(),
            client::Step::Closed => return (found, host.content),
        }
    }
}

proptest! {
    #[test]
    fn every_recipient_has_its_own_outcome(
        fates in proptest::collection::vec(
            proptest::sample::select(vec![Fate::RefusedAtRcpt, Fate::Saved, Fate::Full, Fate::Refused]),
            1..12,
        ),
        cut in 1usize..40,
    ) {
        let (found, content) = outcomes(&fates, cut);
        let wanted: Vec<Option<Fate>> = fates.iter().chain(&fates).map(|fate| Some(*fate)).collect();
        prop_assert_eq!(found, wanted);
        let sent = fates.iter().any(|fate| *fate != Fate::RefusedAtRcpt);
        prop_assert_eq!(content, if sent { &b"text\r\ntext\r\n"[..] } else { b"" });
    }
}
