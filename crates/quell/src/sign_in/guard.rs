//! Before a password is looked at: [`super::guesses`] says whether and when. After it: what came of it
//! is counted, and who guesses is told of.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quell_storm::tell::Alert;
use tracing::{info, warn};

use super::guesses::{Admission, Block, Guesses, REFUSED_MS, Who, Whom};
use super::{SignIn, SignedIn, Verdict};

/// A try that was let in. It counts as a failure if nothing else is said of it once the check has begun:
/// a client that goes away meanwhile has had its check.
pub(super) struct Attempt {
    sign_in: Arc<SignIn>,
    who: Who,
    from: IpAddr,
    begun: bool,
    settled: bool,
}

impl SignIn {
    /// Whether nobody may try from that address: to be asked when AUTH comes, before any of it is read.
    pub fn is_refused(&self, from: IpAddr) -> bool {
        let refused = self.guesses().is_refused(self.time.now().mono_ms, &self.who(from, ""));
        if refused {
            self.metrics.sign_in("refused");
        }
        refused
    }

    fn who(&self, from: IpAddr, name: &str) -> Who {
        let shared = self.now().rules.shared_hosts.iter().any(|net| net.contains(from));
        let mac = self.secret.mac(b"sign-in name", name.as_bytes());
        let name = mac.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        Who::new(from, name, shared)
    }

    fn guesses(&self) -> std::sync::MutexGuard<'_, Guesses> {
        // Each call leaves the tables whole.
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as whoever tries has to, and lets him in.
    ///
    /// # Errors
    /// The verdict: refused, or trouble where too many try at the same time.
    pub(super) async fn admit(self: &Arc<Self>, from: IpAddr, name: &str) -> Result<Attempt, Verdict> {
        let who = self.who(from, name);
        let admitted = self.guesses().ask(self.time.now().mono_ms, &who);
        let wait_ms = match admitted {
            Admission::Refused => {
                self.metrics.sign_in("refused");
                return Err(Verdict::Refused);
            }
            Admission::Busy => {
                self.metrics.sign_in("trouble");
                return Err(Verdict::Trouble("too many sign-ins from there are being checked".to_owned()));
            }
            Admission::After(wait_ms) => wait_ms,
        };
        // From here on it is given back, whatever happens.
        let attempt = Attempt { sign_in: Arc::clone(self), who, from, begun: false, settled: false };
        if wait_ms > 0 {
            let Ok(_waiting) = self.delayed.try_acquire() else {
                return Err(attempt.settle(Verdict::Trouble("too many sign-ins wait".to_owned()), None));
            };
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        Ok(attempt)
    }

    /// A stranger may be able to bring it about, as often as he likes.
    fn trouble(&self, user: &str, from: IpAddr, why: &str) {
        let (unsaid, has_line) = self.troubles.count(self.time.now().wall_ms);
        if unsaid > 0 {
            warn!(
                event = "sign_in_trouble",
                sign_ins = unsaid,
                "more sign-ins were in trouble within a second"
            );
        }
        if has_line {
            warn!(event = "sign_in_trouble", user, %from, reason = why, "nobody could say whether a sign-in is right");
        }
    }

    /// The operator hears of it: always in the log, and by an alert where it is meant for one.
    fn began(&self, block: Block, user: Option<&str>) {
        let (net, failures, minutes) = (block.whom.net(), block.failures, REFUSED_MS / 60_000);
        let user = user.filter(|_| matches!(block.whom, Whom::UserIn(_))).unwrap_or("");
        self.metrics.guessing(block.whom.name());
        warn!(event = "guessing", whom = block.whom.name(), from = %net, failures, minutes, user, "sign-in is refused for some time: too many failures");
        if !block.tell {
            return;
        }
        if let Some(outbox) = &*self.outbox.lock().unwrap_or_else(PoisonError::into_inner) {
            outbox.put(Alert::guessing(&net.to_string(), failures, minutes));
        }
    }
}

impl Attempt {
    /// The check begins, and costs something.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// What came of it. `known`: the name, if it is that of a user; what strangers type as a name may be
    /// a password, and is not written down.
    pub(super) fn settle(mut self, verdict: Verdict, known: Option<&str>) -> Verdict {
        self.count(&verdict, known);
        verdict
    }

    fn count(&mut self, verdict: &Verdict, known: Option<&str>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let sign_in = Arc::clone(&self.sign_in);
        let (now, from, who) = (sign_in.time.now().mono_ms, self.from, self.who);
        let user = known.unwrap_or("");
        match verdict {
            Verdict::Yes(SignedIn { name, .. }) => {
                sign_in.guesses().succeeded(now, &who);
                sign_in.metrics.sign_in("yes");
                info!(event = "signed_in", user = name, %from);
            }
            Verdict::No => {
                let block = sign_in.guesses().failed(now, &who);
                sign_in.metrics.sign_in("no");
                info!(event = "sign_in_failed", user, %from);
                if let Some(block) = block {
                    sign_in.began(block, known);
                }
            }
            Verdict::Trouble(why) => {
                sign_in.guesses().withdrawn(now, &who);
                sign_in.metrics.sign_in("trouble");
                sign_in.trouble(user, from, why);
            }
            Verdict::Refused => sign_in.guesses().withdrawn(now, &who),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // The client has gone.
        let end = if self.begun { Verdict::No } else { Verdict::Refused };
        self.count(&end, None);
    }
}
