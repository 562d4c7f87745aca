//! STARTTLS (RFC 3207): when it is said, and what is forgotten once it has been.

use super::{Expected, Session, Stage};
use crate::client::Starttls;
use crate::client::offer::Offer;
use crate::client::outcome::{Outcome, Status};
use crate::client::reply::{Reader, ServerReply};

impl Session {
    /// The connection is TLS from here on, after [`crate::client::Step::StartTls`]; at another time
    /// nothing happens. What was offered is forgotten (RFC 3207 §4.2).
    pub fn secured(&mut self) {
        if self.stage != Stage::Tls {
            return;
        }
        (self.offer, self.ehlo_refused) = (Offer::default(), None);
        self.max_recipients = self.settings.max_recipients;
        self.secure = true;
        let verb = if self.settings.lmtp { "LHLO" } else { "EHLO" };
        self.stage = Stage::Hello { verb };
    }

    /// TLS could not be negotiated, after [`crate::client::Step::StartTls`]; why, in words for the
    /// operator. The connection is of no more use.
    pub fn tls_failed(&mut self, why: &str) {
        if self.stage == Stage::Tls && self.lost.is_none() {
            self.fail((4, 7, 5), &format!("TLS failed: {why}"));
        }
    }

    /// [`crate::client::Step::StartTls`] was given out, and nothing came of it yet.
    pub fn is_negotiating(&self) -> bool {
        self.stage == Stage::Tls && self.lost.is_none()
    }

    /// The connection is TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Our name was accepted: first TLS, if it is to be had or must be.
    pub(super) fn after_hello(&mut self) {
        match self.settings.starttls {
            Starttls::Offered | Starttls::Required if self.offer.starttls && !self.secure => {
                self.stage = Stage::StartTls;
            }
            Starttls::Required if !self.secure => {
                let text = "TLS is required, and the next hop does not offer it";
                self.give_up(Outcome::Temporary(Status::new((4, 7, 4), None, text)));
            }
            _ => (self.ready, self.stage) = (true, Stage::Envelope),
        }
    }

    pub(super) fn say_starttls(&mut self) {
        self.output.extend_from_slice(b"STARTTLS\r\n");
        self.expected.push_back(Expected::StartTls);
    }

    /// RFC 3207 §4: 220, or a refusal, after which all is as before.
    pub(super) fn starttls_replied(&mut self, reply: &ServerReply) {
        match (reply.code / 100, self.settings.starttls) {
            // Whatever stands behind it came from anybody.
            (2, _) => (self.stage, self.reader) = (Stage::Tls, Reader::default()),
            (4 | 5, Starttls::Required) => {
                let text = format!("TLS is required, and the next hop refuses it: {}", reply.lines.join(" "));
                self.give_up(Outcome::Temporary(Status::new((4, 7, 4), Some(reply.code), &text)));
            }
            (4 | 5, _) => (self.ready, self.stage) = (true, Stage::Envelope),
            _ => self.unexpected(reply),
        }
    }
}
