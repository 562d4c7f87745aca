//! The state of a session, and the way from replies to steps.

mod replies;
mod tls;

use std::collections::VecDeque;

use super::encode::Encoder;
use super::offer::Offer;
use super::outcome::{Outcome, Status};
use super::reply::Reader;
use super::transaction::{Next, Recipients, Transaction};
use super::{EightBit, Envelope, Lost, Settings, Starttls, Step, Wait, command};

/// The sending side of one connection.
///
/// Ask it with [`Session::next`] what to do, and do it, until it says [`Step::Done`] or
/// [`Step::Closed`]. Memory is bounded: by [`super::MAX_UNREAD_BYTES`], the pipelining window, and
/// one small entry per recipient.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    envelope: Envelope,
    recipients: Recipients,
    transaction: Option<Transaction>,
    stage: Stage,
    /// What the replies to come will answer, in order.
    expected: VecDeque<Expected>,
    reader: Reader,
    output: Vec<u8>,
    offer: Offer,
    /// Recipients of one transaction that this next hop takes, as far as we know.
    max_recipients: usize,
    encoder: Encoder,
    lost: Option<Lost>,
    /// EHLO, HELO or LHLO was accepted, and nothing stands between us and MAIL.
    ready: bool,
    /// The connection is TLS.
    secure: bool,
    /// The first line of the greeting, without its code.
    greeting: String,
    /// The code and text of a refused EHLO.
    ehlo_refused: Option<(u16, String)>,
    /// Something but 421 was said to the present message.
    answered: bool,
    replies: u64,
}

/// What happens when all replies are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Our name is to be said.
    Hello { verb: &'static str },
    /// STARTTLS is to be said.
    StartTls,
    /// It was accepted: the caller negotiates.
    Tls,
    /// A transaction begins or goes on.
    Envelope,
    /// The caller sends the message.
    Body,
    /// The caller writes down that the dot goes out.
    Dot,
    /// The terminator goes out, or (`sent`) has gone out: the point of no return.
    Final { sent: bool },
    /// All have their outcome.
    Idle,
    /// QUIT has been said.
    Quit,
    /// The end.
    Closed,
}

impl Stage {
    /// We are about to say something that wants an answer.
    fn speaks(self) -> bool {
        matches!(self, Self::Hello { .. } | Self::StartTls | Self::Envelope | Self::Dot)
    }
}

/// What a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Greeting,
    Hello,
    StartTls,
    Mail,
    Rcpt(usize),
    Data,
    /// The lone dot after a 354 that came though all were refused (RFC 2920 §3.1).
    LoneDot,
    /// The content, for all.
    Message,
    /// The content, for one (RFC 2033 §4.2).
    MessageFor(usize),
    Rset,
    Quit,
}

impl Expected {
    fn wait(self) -> Wait {
        match self {
            Self::Greeting => Wait::Greeting,
            Self::Data => Wait::Data354,
            Self::LoneDot | Self::Message | Self::MessageFor(_) => Wait::FinalDot,
            Self::Quit => Wait::Quit,
            _ => Wait::Command,
        }
    }
}

impl Session {
    /// A session on a connection that was just made, with its first message.
    pub fn new(settings: Settings, envelope: Envelope) -> Self {
        let verb = if settings.lmtp { "LHLO" } else { "EHLO" };
        Self {
            recipients: Recipients::new(envelope.recipients.len()),
            envelope,
            transaction: None,
            stage: Stage::Hello { verb },
            expected: VecDeque::from([Expected::Greeting]),
            reader: Reader::default(),
            output: Vec::new(),
            offer: Offer::default(),
            max_recipients: settings.max_recipients,
            encoder: Encoder::default(),
            lost: None,
            ready: false,
            secure: settings.secure,
            greeting: String::new(),
            ehlo_refused: None,
            answered: false,
            replies: 0,
            settings,
        }
    }

    /// Another message on the same connection, after [`Step::Done`]. At another time it is given
    /// back.
    pub fn begin(&mut self, envelope: Envelope) -> Result<(), Box<Envelope>> {
        if self.stage != Stage::Idle || self.lost.is_some() {
            return Err(Box::new(envelope));
        }
        self.recipients = Recipients::new(envelope.recipients.len());
        self.envelope = envelope;
        self.stage = Stage::Envelope;
        self.answered = false;
        Ok(())
    }

    /// Says QUIT, after [`Step::Done`]; at another time nothing happens.
    pub fn quit(&mut self) {
        if self.stage == Stage::Idle {
            self.say_quit();
        }
    }

    /// Takes what was read. Steps do not depend on how it is cut, as long as the next hop says
    /// nothing unasked.
    pub fn input(&mut self, bytes: &[u8]) {
        // What comes before TLS is there is nobody's reply.
        if self.stage != Stage::Tls {
            self.reader.push(bytes);
        }
    }

    /// The connection is of no more use. Replies that were read before still count.
    pub fn lost(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
    }

    /// Encodes the beginning of a piece of the message: how many bytes were taken, and what to write
    /// for them (it may be nothing). To be called until all is taken. Out of [`Step::SendBody`]
    /// nothing is to be written.
    pub fn body<'a>(&mut self, piece: &'a [u8]) -> (usize, &'a [u8]) {
        match self.stage {
            Stage::Body => self.encoder.next(piece),
            _ => (piece.len(), b""),
        }
    }

    /// The message is complete.
    pub fn body_end(&mut self) {
        if self.stage == Stage::Body {
            self.stage = Stage::Dot;
        }
    }

    /// The next hop has accepted our name, and TLS where it is required: it is there and speaks with us.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The first line of the greeting, without its code; empty before it came. At most
    /// [`super::reply::MAX_REPLY_LINE_BYTES`].
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// It was made with [`Settings::starttls`].
    pub(super) fn starttls(&self) -> Starttls {
        self.settings.starttls
    }

    /// It was made with [`Settings::probe`].
    pub(super) fn is_probe(&self) -> bool {
        self.settings.probe
    }

    /// The next hop takes the parameters of RFC 3461, and so it reports success itself.
    pub fn takes_dsn(&self) -> bool {
        self.offer.dsn
    }

    /// How many recipients one transaction may have here, as far as is known.
    pub fn takes_recipients(&self) -> usize {
        self.max_recipients
    }

    /// The next hop has answered a command of the present message, with anything but 421. If it has
    /// not, the connection may have been of no use before the message began.
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// How many replies were read. As long as it is the same, [`Step::NeedInput`] waits for the same
    /// reply: one that comes in drips is no answer in time.
    pub fn replies(&self) -> u64 {
        self.replies
    }

    /// How many bare CR and LF of all messages have gone out as CRLF.
    pub fn bare_newlines(&self) -> u64 {
        self.encoder.bare_newlines()
    }

    /// What [`Step::Dot`] asked for is done: the end of the message may go out.
    pub fn dot_recorded(&mut self) {
        let Some(transaction) = self.transaction.as_ref().filter(|_| self.stage == Stage::Dot) else {
            return;
        };
        // What was said before the end was sent cannot be the answer to it: `next` sees to that.
        if !self.reader.is_empty() || self.lost.is_some() {
            return;
        }
        self.stage = Stage::Final { sent: false };
        self.output.extend_from_slice(self.encoder.terminator());
        match self.settings.lmtp {
            true => self.expected.extend(transaction.accepted.iter().map(|r| Expected::MessageFor(*r))),
            false => self.expected.push_back(Expected::Message),
        }
    }

    /// What to do next. Asked again, it says the same, but for [`Step::Write`] and
    /// [`Step::Outcome`], which are given out once.
    #[allow(clippy::should_implement_trait)] // It has no end: it waits.
    pub fn next(&mut self) -> Step {
        loop {
            if let Some(outcome) = self.recipients.next_outcome() {
                return outcome;
            }
            if self.stage == Stage::Closed {
                return Step::Closed;
            }
            if !self.output.is_empty() {
                if let Some(step) = self.write() {
                    return step;
                }
                continue;
            }
            let step = match self.expected.front() {
                Some(expected) => self.read(expected.wait()),
                None => self.advance(),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn write(&mut self) -> Option<Step> {
        if self.lost.is_some() {
            self.fail_lost();
            return None;
        }
        if let Stage::Final { sent } = &mut self.stage {
            *sent = true;
        }
        Some(Step::Write(std::mem::take(&mut self.output)))
    }

    fn read(&mut self, wait: Wait) -> Option<Step> {
        match self.reader.read() {
            Ok(Some(reply)) => {
                self.replies += 1;
                if let Some(expected) = self.expected.pop_front() {
                    self.replied(expected, &reply);
                }
            }
            Ok(None) if self.lost.is_some() => self.fail_lost(),
            Ok(None) => return Some(Step::NeedInput(wait)),
            Err(bad) => self.fail((4, 5, 0), &format!("the next hop said {bad}")),
        }
        None
    }

    /// Nothing is awaited: the next thing to send, or the next thing for the caller.
    fn advance(&mut self) -> Option<Step> {
        if self.lost.is_some() && self.reader.is_empty() {
            self.fail_lost();
            return None;
        }
        let speaks = self.lost.is_some() || self.stage.speaks();
        if speaks && !self.reader.is_empty() {
            self.spoke_unasked();
            return None;
        }
        match self.stage {
            Stage::Hello { verb } => {
                command::hello(&mut self.output, verb, &self.settings.our_name);
                self.expected.push_back(Expected::Hello);
            }
            Stage::StartTls => self.say_starttls(),
            Stage::Tls => return Some(Step::StartTls),
            Stage::Envelope => self.go_on(),
            Stage::Body => return Some(Step::SendBody),
            Stage::Dot => {
                let accepted = self.transaction.as_ref().map(|t| t.accepted.clone());
                return Some(Step::Dot(accepted.unwrap_or_default()));
            }
            // All have answered.
            Stage::Final { .. } => self.end_transaction(false),
            Stage::Idle => return Some(Step::Done),
            Stage::Quit | Stage::Closed => self.stage = Stage::Closed,
        }
        None
    }

    /// The transaction under way, or the next.
    fn go_on(&mut self) {
        let Some(transaction) = &self.transaction else {
            return self.begin_transaction();
        };
        let rcpts_sent = transaction.next == Next::Rcpt(transaction.members.len());
        let nothing_to_send = transaction.accepted.is_empty() || self.settings.probe;
        if transaction.mail_refused || (rcpts_sent && nothing_to_send) {
            return self.end_transaction(true);
        }
        self.send_commands();
    }

    fn begin_transaction(&mut self) {
        if self.recipients.nothing_to_do() {
            self.stage = Stage::Idle;
        } else if let Some(outcome) = self.refused_by_us() {
            self.recipients.settle_rest(&outcome);
        } else {
            let mut members = self.recipients.take(self.max_recipients);
            let envelope = &self.envelope;
            let is_ascii = |member: &usize| envelope.recipients[*member].forward_path.is_ascii();
            let smtputf8 = message_needs_smtputf8(envelope) || !members.iter().all(is_ascii);
            if smtputf8 && !self.offer.smtputf8 {
                for member in members.extract_if(.., |member| !is_ascii(member)) {
                    self.recipients.settle(member, no_smtputf8());
                }
            }
            if !members.is_empty() {
                self.transaction = Some(Transaction::new(members, smtputf8 && self.offer.smtputf8));
                self.send_commands();
            }
        }
    }

    /// What need not be tried, since the next hop has said that it cannot take it.
    fn refused_by_us(&self) -> Option<Outcome> {
        let (mail, offer) = (&self.envelope.mail, &self.offer);
        if offer.max_bytes.is_some_and(|most| mail.size_bytes.is_some_and(|bytes| bytes > most)) {
            return Some(refused((5, 3, 4), "the message is too big for the next hop"));
        }
        if mail.eight_bit && !offer.eight_bit && self.settings.eightbit == EightBit::Bounce {
            return Some(refused((5, 6, 3), "the next hop does not offer 8BITMIME"));
        }
        (message_needs_smtputf8(&self.envelope) && !offer.smtputf8).then(no_smtputf8)
    }

    /// As many commands of the transaction as may go out before a reply is read.
    fn send_commands(&mut self) {
        let window = if self.offer.pipelining { self.settings.pipelining_window_bytes } else { 0 };
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        loop {
            let expected = match transaction.next {
                Next::Mail => {
                    command::mail(&mut self.output, &self.envelope.mail, transaction.smtputf8, &self.offer);
                    transaction.next = Next::Rcpt(0);
                    Expected::Mail
                }
                Next::Rcpt(place) => match transaction.members.get(place) {
                    Some(member) => {
                        command::rcpt(&mut self.output, &self.envelope.recipients[*member], &self.offer);
                        transaction.next = Next::Rcpt(place + 1);
                        Expected::Rcpt(*member)
                    }
                    None if self.settings.probe => return,
                    None => {
                        self.output.extend_from_slice(b"DATA\r\n");
                        transaction.next = Next::Nothing;
                        Expected::Data
                    }
                },
                Next::Nothing => return,
            };
            self.expected.push_back(expected);
            if self.output.len() >= window {
                return;
            }
        }
    }

    /// The transaction is over; if its content was not sent, with RSET (RFC 5321 §4.1.1.5).
    fn end_transaction(&mut self, reset: bool) {
        self.stage = Stage::Envelope;
        let Some(transaction) = self.transaction.take() else {
            return;
        };
        // If others were accepted after it, the 452 was about that one recipient.
        if transaction.full_at == Some(transaction.accepted.len()) {
            self.max_recipients = transaction.accepted.len();
        }
        if transaction.open && reset {
            self.output.extend_from_slice(b"RSET\r\n");
            self.expected.push_back(Expected::Rset);
        }
    }

    fn say_quit(&mut self) {
        self.output.extend_from_slice(b"QUIT\r\n");
        self.expected.push_back(Expected::Quit);
        self.stage = Stage::Quit;
    }
}

/// Whatever recipients it goes to (RFC 6531 §3.4).
fn message_needs_smtputf8(envelope: &Envelope) -> bool {
    envelope.mail.smtputf8 || !envelope.mail.reverse_path.is_ascii()
}

fn no_smtputf8() -> Outcome {
    refused((5, 6, 7), "the next hop does not offer SMTPUTF8")
}

/// A refusal that nobody said: it comes from what the next hop offers.
fn refused(enhanced: (u16, u16, u16), text: &str) -> Outcome {
    Outcome::refused(Status::new(enhanced, None, text), true, false)
}
