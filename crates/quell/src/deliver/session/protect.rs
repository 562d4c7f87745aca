//! What protects the connection: the handshake, and what the domain says of its hosts.

use std::sync::Arc;

use quell_wire::client::Lost;
use tracing::{info, warn};

use super::{STOPS, Session, stopped, unless};

impl Session {
    /// STARTTLS was accepted.
    pub(super) async fn handshake(&mut self) {
        let clients = Arc::clone(&self.remote.now().clients);
        let (Some(link), Some(target)) = (&mut self.link, &self.target) else {
            return self.attempt.lost(Lost::Closed);
        };
        let left = self.to_dot.left();
        let secured = async {
            match tokio::time::timeout(left, link.secure(target, &clients)).await {
                Ok(secured) => secured.map_err(Some),
                Err(_) => Err(None),
            }
        };
        match unless(stopped(&mut self.stopping, false), secured).await {
            None => self.attempt.interrupt(STOPS),
            Some(Ok(facts)) => self.attempt.secured(facts),
            Some(Err(None)) => self.attempt.out_of_time(),
            Some(Err(Some(why))) => {
                let next_hop = target.to_string();
                match target.tls.is_opportunistic() {
                    true => {
                        info!(event = "tls_failed", next_hop, reason = why, "no TLS: once more in the clear")
                    }
                    false => warn!(
                        event = "tls_failed",
                        next_hop,
                        reason = why,
                        "no TLS, which must be: nothing is sent"
                    ),
                }
                self.attempt.tls_failed(&why);
            }
        }
    }

    /// The MTA-STS policy of a domain.
    pub(super) async fn find_policy(&mut self, domain: &str) {
        let (now, secs) = (self.remote.now(), self.remote.time.now().ms / 1_000);
        let found = now.policies.in_force(domain, &now.resolver, &now.clients, secs);
        match self.unless_stopping(found).await {
            Some(policy) => self.attempt.found_policy(policy),
            None => self.attempt.interrupt(STOPS),
        }
    }

    /// The TLSA records of a host.
    pub(super) async fn find_tlsa(&mut self, domain: &str, host: &str) {
        let now = self.remote.now();
        match self.unless_stopping(now.resolver.tlsa(domain, host, now.sending.port)).await {
            Some(found) => self.attempt.found_tlsa(found),
            None => self.attempt.interrupt(STOPS),
        }
    }
}
