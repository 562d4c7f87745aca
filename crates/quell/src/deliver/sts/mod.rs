//! MTA-STS policies (RFC 8461): fetched when a domain's record says so, and kept over a restart.

mod fetch;
mod kept;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use quell_relay::tls::sts::{self, Known, Policy, TRY_AGAIN_SECS};
use tokio::sync::Mutex as Turn;
use tracing::{info, warn};

use self::kept::Kept;
use super::resolver::Resolver;
use super::tls::Clients;

/// Domains whose last fetch failed that are remembered; at the limit all are forgotten.
const MAX_FAILED: usize = 10_000;

/// All policies that are known.
pub struct Policies {
    kept: Arc<Kept>,
    /// Fetches that failed: the id, and when, in seconds since 1970.
    failed: Mutex<HashMap<String, (String, i64)>>,
    /// One fetch of a domain at a time; only of those that are being fetched.
    turns: Mutex<HashMap<String, Arc<Turn<()>>>>,
    port: u16,
}

impl Policies {
    /// Those in this file, which need not be there. It is written anew when one comes.
    pub fn open(file: &Path) -> Arc<Self> {
        Self::at_port(file, fetch::HTTPS_PORT)
    }

    fn at_port(file: &Path, port: u16) -> Arc<Self> {
        let kept = Arc::new(Kept::open(file));
        Arc::new(Self { kept, failed: Mutex::default(), turns: Mutex::default(), port })
    }

    /// The policy that mail for `domain` must be sent by, if there is one.
    pub async fn in_force(
        &self,
        domain: &str,
        resolver: &Resolver,
        clients: &Clients,
        now_secs: i64,
    ) -> Option<Policy> {
        let records = resolver.txt(&format!("_mta-sts.{domain}")).await.unwrap_or_default();
        let id = sts::id(&records);
        if let Some(id) = id.as_deref().filter(|id| self.wants_fetch(domain, id, now_secs)) {
            let turn = self.turn_of(domain);
            let _turn = turn.lock().await;
            // Somebody else may have fetched it meanwhile.
            if self.wants_fetch(domain, id, now_secs) {
                self.fetch(domain, id, resolver, clients, now_secs).await;
            }
        }
        sts::in_force(self.kept.get(domain).as_ref(), now_secs).cloned()
    }

    fn wants_fetch(&self, domain: &str, id: &str, now_secs: i64) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |(of, at): &(String, i64)| of == id && (0..TRY_AGAIN_SECS).contains(&(now_secs - at));
        !failed.get(domain).is_some_and(lately)
            && sts::wants_fetch(self.kept.get(domain).as_ref(), Some(id), now_secs)
    }

    async fn fetch(&self, domain: &str, id: &str, resolver: &Resolver, clients: &Clients, now_secs: i64) {
        match fetch::fetch(domain, self.port, resolver, clients).await {
            Ok(policy) => {
                let (mode, hosts) = (format!("{:?}", policy.mode).to_lowercase(), policy.mx.len());
                info!(event = "mta_sts", domain, mode, hosts, max_age_secs = policy.max_age_secs);
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(domain);
                let known = Known { id: id.to_owned(), policy, fetched_secs: now_secs };
                self.kept.put(domain, known);
            }
            Err(why) => {
                warn!(
                    event = "mta_sts_failed",
                    domain,
                    reason = why,
                    "the domain's MTA-STS policy cannot be had: what is known of it counts"
                );
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed.len() >= MAX_FAILED {
                    failed.clear();
                }
                failed.insert(domain.to_owned(), (id.to_owned(), now_secs));
            }
        }
    }

    fn turn_of(&self, domain: &str) -> Arc<Turn<()>> {
        let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(all.entry(domain.to_owned()).or_default())
    }
}
