//! Sees to it that there is a certificate.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::answer::{self, Answering, Pending};
use super::keep::{Keep, State};
use super::order::{self, Failure};
use super::when::{Held, due_secs};
use crate::config::Acme;
use crate::data::{DataError, random_bytes};
use crate::tls::Certificate;

/// One try takes no longer.
const TRY: Duration = Duration::from_secs(600);
/// So much of what the authority says is logged.
const MAX_WORDS: usize = 500;

/// Asks for certificates, and keeps them.
pub struct Keeper {
    wanted: Acme,
    keep: Keep,
    pending: Arc<Pending>,
    state: State,
    /// A random number for each try.
    jitter: u8,
    /// Looked so often whether one is due.
    every: Duration,
    /// Told when there is a new certificate.
    renewed: Arc<Notify>,
    /// Tells that a person wants a try now, if one is due.
    asked: Arc<Notify>,
}

impl Keeper {
    /// For what is `wanted`. `renewed` is told of new certificates; `asked` by a person who does not want to
    /// wait longer after failures. `every`: looked so often.
    pub fn new(wanted: &Acme, every: Duration, renewed: Arc<Notify>, asked: Arc<Notify>) -> Self {
        let keep = Keep::new(&wanted.folder);
        let state = keep.state().unwrap_or_else(|why| {
            warn!(event = "acme_state", reason = %why, "what earlier tries came to is not known");
            State::default()
        });
        let (wanted, jitter) = (wanted.clone(), jitter());
        Self { wanted, keep, pending: Arc::default(), state, jitter, every, renewed, asked }
    }

    /// Runs until it is dropped. `listeners`: where the authority connects to.
    pub async fn run(mut self, listeners: Vec<TcpListener>) {
        let answering = match Answering::new(self.wanted.challenge, &self.pending) {
            Ok(answering) => answering,
            Err(why) => {
                return error!(event = "no_acme", reason = %why, "challenges cannot be answered: no certificate comes");
            }
        };
        // They end with this task.
        let mut serving = tokio::task::JoinSet::new();
        for listener in listeners {
            serving.spawn(answer::serve(listener, answering.clone()));
        }
        let (mut asked, asks) = (false, Arc::clone(&self.asked));
        loop {
            let now_secs = crate::serve::certificate::now_secs();
            if due_secs(self.held(), &self.state.tries, asked, self.jitter, now_secs) <= now_secs {
                (asked, self.jitter) = (false, jitter());
                self.try_once().await;
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                () = asks.notified() => asked = true,
            }
        }
    }

    /// The certificate in the folder, if it is what is wanted.
    fn held(&self) -> Option<Held> {
        let files = self.wanted.files();
        let leaf = Certificate::load(&files.certificate, &files.key).ok()?.leaf;
        let is_wanted = self.state.from == self.wanted.directory
            && self.wanted.names.iter().all(|name| leaf.is_for(name));
        is_wanted
            .then_some(Held { not_before_secs: leaf.not_before_secs, not_after_secs: leaf.not_after_secs })
    }

    async fn try_once(&mut self) {
        let names = self.wanted.names.join(", ");
        info!(event = "acme", directory = self.wanted.directory, "a certificate for {names} is asked for");
        // Before, too: a server that ends in the middle of it must not come again at once.
        let failures = self.state.tries.failures;
        self.tried(failures.saturating_add(1));
        let obtained = order::obtain(&self.wanted, &self.keep, &self.pending);
        let obtained = match tokio::time::timeout(TRY, obtained).await {
            Ok(Ok(pem)) => self.keep.store_certificate(&pem).map_err(Failure::from),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("it took longer than 10 minutes".into()),
        };
        match obtained {
            Ok(()) => {
                self.state.from = self.wanted.directory.clone();
                self.tried(0);
                info!(event = "acme_done", "there is a new certificate for {names}");
                self.renewed.notify_one();
            }
            Err(why) => {
                self.tried(failures.saturating_add(1));
                warn!(
                    event = "acme_failed",
                    reason = words(&why.to_string()),
                    failures = self.state.tries.failures,
                    "no certificate could be had: it is tried again later, an hour after the first failure, a day after the sixth; a reload tries at once"
                );
            }
        }
    }

    fn tried(&mut self, failures: u32) {
        self.state.tries.failures = failures;
        self.state.tries.last_secs = crate::serve::certificate::now_secs();
        let stored: Result<(), DataError> = self.keep.store_state(&self.state);
        if let Err(why) = stored {
            warn!(event = "acme_state", reason = %why, "what the tries came to cannot be kept");
        }
    }
}

fn jitter() -> u8 {
    random_bytes::<1>().map_or(0, |[byte]| byte)
}

/// What somebody else said, for the log: bounded, and one line.
fn words(said: &str) -> String {
    let plain = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut words: String = plain.take(MAX_WORDS).collect();
    if said.chars().nth(MAX_WORDS).is_some() {
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_authority_says_is_bounded_and_one_line() {
        assert_eq!(words("no\r\nmx \u{1b}[31m"), "no  mx  [31m");
        assert_eq!(words(&"é".repeat(500)).chars().count(), 500);
        let cut = words(&"é".repeat(501));
        assert!(cut.ends_with("é…") && cut.chars().count() == 501);
    }
}
