//! The receiving side of a host's SMTP or LMTP connection: `wire`'s session, and a desk that answers.

use std::net::IpAddr;
use std::sync::Arc;

use quell_wire::path::Path;
use quell_wire::reply::Reply;
use quell_wire::server::{Question, Session, Settings, Step};

/// Largest message that a host takes. More is refused by the session, 552.
pub(crate) const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// A message that came in.
#[derive(Debug)]
pub(crate) struct Mail {
    /// What the client calls itself.
    pub helo: String,
    /// The client's address.
    pub peer: IpAddr,
    /// The reverse-path.
    pub reverse_path: Path,
    /// At least one.
    pub recipients: Vec<Path>,
    /// The message, lines ended by CRLF.
    pub content: Vec<u8>,
}

/// Who decides what is taken.
pub(crate) trait Desk {
    /// Whether mail is taken for this recipient.
    fn recipient(&mut self, recipient: &Path) -> Reply;
    /// Whether there is room for a message; [`Reply::go_ahead`] for yes.
    fn room(&mut self) -> Reply;
    /// Takes a message; a reply for each recipient (LMTP), or one.
    fn message(&mut self, mail: Mail) -> Vec<Reply>;
}

/// The settings of a host's sessions.
pub(crate) fn settings(hostname: &str, lmtp: bool) -> Arc<Settings> {
    Arc::new(Settings { lmtp, max_message_bytes: MAX_MESSAGE_BYTES, ..Settings::new(hostname) })
}

/// One connection. Memory: a message, and its recipients (10,000 by [`Settings::new`]).
#[derive(Debug)]
pub(crate) struct MailIn {
    session: Session,
    peer: IpAddr,
    helo: String,
    reverse_path: Option<Path>,
    recipients: Vec<Path>,
    content: Vec<u8>,
}

impl MailIn {
    /// A connection that was just accepted, and what to send on it.
    pub fn new(settings: Arc<Settings>, peer: IpAddr) -> (Self, Vec<u8>) {
        let mut session = Session::new(settings);
        let greeting = std::mem::take(session.output());
        let none = (String::new(), None, Vec::new(), Vec::new());
        let (helo, reverse_path, recipients, content) = none;
        (Self { session, peer, helo, reverse_path, recipients, content }, greeting)
    }

    /// Takes input; what to send, and whether the connection goes on. Replies are short, so that what is
    /// to be sent is bounded by what came in.
    pub fn input(&mut self, mut bytes: &[u8], desk: &mut dyn Desk) -> (Vec<u8>, bool) {
        let mut output = Vec::new();
        loop {
            let (taken, step) = self.session.next(bytes);
            bytes = &bytes[taken..];
            match step {
                // Every question is answered at once: one that is open is a fault, and ends it. Nobody is
                // offered to sign in.
                Step::NeedInput
                | Step::NeedAnswer
                | Step::StartTls
                | Step::SignIn(..)
                | Step::StoredFor(..)
                | Step::Closed(_) => {
                    let goes_on = step == Step::NeedInput;
                    output.append(self.session.output());
                    return (output, goes_on);
                }
                Step::Flush => output.append(self.session.output()),
                Step::Data(piece) => self.content.extend_from_slice(piece),
                Step::Hello { name, .. } => {
                    self.reset();
                    self.helo = name;
                }
                Step::Mail(question, mail) => {
                    self.reverse_path = Some(mail.reverse_path);
                    self.session.answer(question, Reply::sender_ok());
                }
                Step::Rcpt(question, rcpt) => self.recipient(question, rcpt.forward_path, desk),
                Step::Begin { question, .. } => self.session.answer(question, desk.room()),
                Step::End { question, .. } => self.end(question, desk),
                Step::Reset => self.reset(),
            }
        }
    }

    fn recipient(&mut self, question: Question, recipient: Path, desk: &mut dyn Desk) {
        let reply = desk.recipient(&recipient);
        if reply.is_positive() {
            self.recipients.push(recipient);
        }
        self.session.answer(question, reply);
    }

    fn end(&mut self, question: Question, desk: &mut dyn Desk) {
        let replies = match self.reverse_path.take() {
            Some(reverse_path) => desk.message(Mail {
                helo: self.helo.clone(),
                peer: self.peer,
                reverse_path,
                recipients: std::mem::take(&mut self.recipients),
                content: std::mem::take(&mut self.content),
            }),
            None => Vec::new(),
        };
        self.reset();
        self.session.answer_each(question, replies);
    }

    fn reset(&mut self) {
        self.reverse_path = None;
        self.recipients.clear();
        self.content = Vec::new();
    }
}
