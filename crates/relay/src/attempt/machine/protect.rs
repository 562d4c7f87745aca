//! What protects a connection: what the domain says of its hosts, and what came of the handshake.

use quell_wire::client::Starttls;

use super::{Attempt, Link};
use crate::attempt::{MAX_TARGETS, Target};
use crate::tls::dane::Found;
use crate::tls::sts::Policy;

impl Attempt {
    /// The policy of [`super::Step::FindPolicy`]: None where none is in force.
    pub fn found_policy(&mut self, policy: Option<Policy>) {
        self.way.found_policy(policy);
    }

    /// What DNS says to [`super::Step::FindTlsa`]. An error, in words for the operator, has the host
    /// passed over.
    pub fn found_tlsa(&mut self, answer: Result<Found, String>) {
        self.way.found_tlsa(answer, &self.sending);
    }

    /// The present connection is TLS: after [`super::Step::StartTls`], or [`Attempt::connected`] for
    /// implicit TLS. `facts` say what was negotiated, for the log.
    pub fn secured(&mut self, facts: String) {
        if let Link::Up(up) = &mut self.link {
            up.session.secured();
            up.tls = Some(facts).filter(|_| up.session.is_secure());
        }
    }

    /// The handshake of [`super::Step::StartTls`] has failed: why, in words for the operator. Where TLS
    /// is opportunistic the same target is tried once more without; that is remembered as long as the
    /// attempt lives, so that it does not double its connections.
    pub fn tls_failed(&mut self, why: &str) {
        let Link::Up(up) = &mut self.link else { return };
        if !up.session.is_negotiating() {
            return;
        }
        up.session.tls_failed(why);
        if up.target.tls.is_opportunistic() {
            let target = up.target.clone();
            if self.without_tls.len() >= MAX_TARGETS {
                self.without_tls.pop_front();
            }
            self.without_tls.push_back(target.address.clone());
            self.way.again(target);
        }
    }

    /// What the session at this target asks for.
    pub(super) fn starttls(&self, target: &Target) -> Starttls {
        match target.tls.starttls {
            Starttls::Offered if self.without_tls.contains(&target.address) => Starttls::Never,
            wanted => wanted,
        }
    }
}
