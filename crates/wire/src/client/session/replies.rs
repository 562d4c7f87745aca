//! What each reply means, and what the end of a connection means for those without one.

use super::{Expected, Session, Stage};
use crate::client::offer::Offer;
use crate::client::outcome::{Outcome, Status};
use crate::client::reply::ServerReply;
use crate::client::{Lost, MAX_RECIPIENTS, Starttls};

/// Longest text of a reply that is quoted beside words of our own; the rest is dropped.
const MAX_QUOTED_BYTES: usize = 200;

impl Session {
    pub(super) fn replied(&mut self, expected: Expected, reply: &ServerReply) {
        self.answered |= reply.code != 421;
        match expected {
            Expected::MessageFor(recipient) => self.message_replied(Some(recipient), reply),
            Expected::Message => self.message_replied(None, reply),
            Expected::Quit => self.stage = Stage::Closed,
            // RFC 5321 §3.8: it may come at any time, and closes.
            _ if reply.code == 421 => self.fail_with(reply.status()),
            Expected::Greeting => self.greeting_replied(reply),
            Expected::Hello => self.hello_replied(reply),
            Expected::StartTls => self.starttls_replied(reply),
            Expected::Mail => self.mail_replied(reply),
            Expected::Rcpt(recipient) => self.rcpt_replied(recipient, reply),
            Expected::Data => self.data_replied(reply),
            Expected::LoneDot => self.end_transaction(false),
            Expected::Rset if reply.is_positive() => {}
            Expected::Rset => self.give_up(Outcome::Temporary(temporary(reply))),
        }
    }

    /// RFC 5321 §3.1. Another server may take what this one does not, unless it says that it takes
    /// no mail at all (521, RFC 7504).
    fn greeting_replied(&mut self, reply: &ServerReply) {
        match reply.code {
            200..300 => self.greeting = reply.lines.first().cloned().unwrap_or_default(),
            521 if self.is_believed() => self.give_up(Outcome::refused(reply.status(), true, false)),
            400.. => self.give_up(Outcome::Temporary(temporary(reply))),
            _ => self.unexpected(reply),
        }
    }

    /// RFC 5321 §3.2: HELO for a server that does not know EHLO. LMTP has no other (RFC 2033 §4.1),
    /// and there a refusal is a fault of the configuration, not of the message.
    fn hello_replied(&mut self, reply: &ServerReply) {
        let Stage::Hello { verb } = self.stage else {
            return;
        };
        match (reply.code / 100, verb) {
            (2, "HELO") => self.greeted(Offer::default()),
            (2, _) => self.greeted(Offer::of(reply)),
            (5, "EHLO") => {
                self.ehlo_refused = Some((reply.code, reply.lines.join(" ")));
                self.stage = Stage::Hello { verb: "HELO" };
            }
            (5, "HELO" | "LHLO") if self.settings.configured => {
                let status = self.hello_refused(verb, reply);
                self.give_up(Outcome::Temporary(status));
            }
            (5, "HELO") if self.is_believed() => self.give_up(Outcome::refused(reply.status(), true, false)),
            (4 | 5, _) => self.give_up(Outcome::Temporary(temporary(reply))),
            _ => self.unexpected(reply),
        }
    }

    /// A refusal before the envelope is for good. Not from a host of our configuration, nor in the clear
    /// where TLS is required: anybody on the way could have said it.
    fn is_believed(&self) -> bool {
        !self.settings.configured && (self.secure || self.settings.starttls != Starttls::Required)
    }

    /// A configured next hop accepts none of our greetings: if it does not know the command at all, it
    /// may well speak the other protocol of the two.
    fn hello_refused(&self, verb: &str, reply: &ServerReply) -> Status {
        let last = (reply.code, reply.lines.join(" "));
        let (said, speaks, asked, other) = match verb {
            "LHLO" => (&last, "LMTP", "LHLO", "an SMTP server? then write smtp://"),
            _ => {
                let said = self.ehlo_refused.as_ref().unwrap_or(&last);
                (said, "SMTP", "EHLO", "an LMTP server? then write lmtp://")
            }
        };
        let (code, text) = said;
        if !matches!(code, 500 | 502 | 503) {
            return temporary(reply);
        }
        let text = &text[..text.floor_char_boundary(MAX_QUOTED_BYTES)];
        let hint = format!("the next hop does not speak {speaks} ({asked}: {code} {text}): is it {other}");
        Status::new((4, 4, 0), None, &hint)
    }

    fn greeted(&mut self, offer: Offer) {
        if let Some(most) = offer.max_recipients {
            self.max_recipients = most.clamp(1, MAX_RECIPIENTS);
        }
        self.offer = offer;
        self.after_hello();
    }

    fn mail_replied(&mut self, reply: &ServerReply) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        transaction.open = reply.is_positive();
        transaction.mail_refused = reply.is_refusal();
        if reply.is_refusal() {
            // It will say the same of every transaction from this reverse-path.
            self.recipients.settle_rest(&Outcome::refused(reply.status(), reply.is_permanent(), false));
        } else if !reply.is_positive() {
            self.unexpected(reply);
        }
    }

    fn rcpt_replied(&mut self, recipient: usize, reply: &ServerReply) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        if reply.is_positive() {
            transaction.confused |= transaction.mail_refused;
            transaction.accepted.push(recipient);
            if self.settings.probe {
                self.recipients.settle(recipient, self.taken(reply));
            }
        } else if !reply.is_refusal() {
            self.unexpected(reply);
        } else if transaction.mail_refused {
            // It follows from the refused MAIL.
        } else if is_too_many(reply) && !transaction.accepted.is_empty() {
            transaction.full_at.get_or_insert(transaction.accepted.len());
            self.recipients.again(recipient);
        } else {
            // RFC 5321 §4.5.3.1.10: 552 is read as 452.
            let permanent = reply.is_permanent() && !is_too_many(reply);
            let status = if permanent { reply.status() } else { temporary(reply) };
            self.recipients.settle(recipient, Outcome::refused(status, permanent, true));
        }
    }

    fn data_replied(&mut self, reply: &ServerReply) {
        let Some(transaction) = &self.transaction else {
            return;
        };
        let nobody = transaction.accepted.is_empty();
        match reply.code {
            // Nobody could be given an empty message by the lone dot, or somebody could.
            300..400 if nobody && !self.settings.lmtp => self.lone_dot(),
            300..400 if !nobody && !transaction.confused => self.stage = Stage::Body,
            400.. => {
                let outcome = Outcome::refused(reply.status(), reply.is_permanent(), false);
                for recipient in transaction.accepted.clone() {
                    self.recipients.settle(recipient, outcome.clone());
                }
                self.end_transaction(true);
            }
            _ => self.unexpected(reply),
        }
    }

    /// RFC 2920 §3.1: DATA was sent before it was known that all are refused, and was answered 354.
    fn lone_dot(&mut self) {
        self.output.extend_from_slice(b".\r\n");
        self.expected.push_back(Expected::LoneDot);
    }

    /// The answer to the content, for all or (LMTP) for one.
    fn message_replied(&mut self, only: Option<usize>, reply: &ServerReply) {
        let accepted = self.transaction.as_ref().map(|t| t.accepted.clone()).unwrap_or_default();
        let outcome = match reply.code / 100 {
            2 => self.taken(reply),
            3 => return self.unexpected(reply),
            _ => Outcome::refused(reply.status(), reply.is_permanent(), only.is_some()),
        };
        match only {
            Some(recipient) => self.recipients.settle(recipient, outcome),
            None => accepted.into_iter().for_each(|r| self.recipients.settle(r, outcome.clone())),
        }
        if reply.code == 421 {
            self.fail_with(reply.status());
        }
    }

    fn taken(&self, reply: &ServerReply) -> Outcome {
        if self.settings.lmtp { Outcome::Delivered(reply.status()) } else { Outcome::Relayed(reply.status()) }
    }

    /// The session ends by our will, before or between transactions.
    pub(super) fn give_up(&mut self, outcome: Outcome) {
        self.recipients.settle_rest(&outcome);
        self.transaction = None;
        self.say_quit();
    }

    /// A reply that cannot answer what was asked: who answers what is not known any more.
    pub(super) fn unexpected(&mut self, reply: &ServerReply) {
        self.fail((4, 5, 0), &format!("unexpected reply: {} {}", reply.code, reply.lines.join(" ")));
    }

    /// Something was said while nothing was asked: 421 in most cases, as a server that stops says
    /// it. Taken for the answer to what comes next, it could lose a message.
    pub(super) fn spoke_unasked(&mut self) {
        match self.reader.read() {
            Ok(Some(reply)) if reply.code == 421 => self.fail_with(reply.status()),
            Ok(Some(reply)) => self.unexpected(&reply),
            _ => self.fail((4, 5, 0), "the next hop spoke unasked"),
        }
    }

    pub(super) fn fail_lost(&mut self) {
        match self.lost.take() {
            Some(Lost::TimedOut) => self.fail((4, 4, 2), "the next hop did not answer in time"),
            Some(Lost::Broken(why)) => self.fail((4, 4, 2), &format!("the connection broke: {why}")),
            Some(Lost::Ours(why)) => self.fail((4, 3, 0), &why),
            Some(Lost::Closed) | None => self.fail((4, 4, 2), "the connection was closed"),
        }
    }

    pub(super) fn fail(&mut self, enhanced: (u16, u16, u16), text: &str) {
        self.fail_with(Status::new(enhanced, None, text));
    }

    /// The connection ends here. Of those for whom the end of the message went out and who were not
    /// answered nobody can know; all others do not have it.
    fn fail_with(&mut self, status: Status) {
        if let (Some(transaction), Stage::Final { sent: true }) = (&self.transaction, self.stage) {
            for recipient in &transaction.accepted {
                self.recipients.settle(*recipient, Outcome::Unknown(status.clone()));
            }
        }
        self.recipients.settle_rest(&Outcome::Temporary(status));
        self.expected.clear();
        self.output.clear();
        self.transaction = None;
        self.stage = Stage::Closed;
    }
}

/// RFC 5321 §4.5.3.1.10: 452, and 552 as it was once written, for more recipients than are taken at
/// a time; not if the enhanced code says that it is about something else (RFC 3463 §3.3, §3.4).
fn is_too_many(reply: &ServerReply) -> bool {
    match reply.code {
        452 => !matches!(reply.enhanced, Some((_, 1 | 2, _))),
        552 => matches!(reply.enhanced, None | Some((_, 5, 3))),
        _ => false,
    }
}

/// The status of a refusal that is not taken to be for good.
fn temporary(reply: &ServerReply) -> Status {
    let mut status = reply.status();
    status.enhanced.0 = 4;
    status
}
