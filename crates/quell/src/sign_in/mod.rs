//! Sign-in: who may send, asked of the users' store or of Dovecot, with what slows and refuses those
//! who guess. The protocol itself, AUTH and its mechanisms, is `wire`'s and `relay`'s business; here is
//! only said yes or no.
//!
//! ```text
//! AUTH ─ guard: guesses ─ refused, or after a wait ─ pool: Argon2 │ dovecot: AUTH/CONT │ token: command
//!                                                    └ Verdict: Yes(SignedIn) · No · Trouble · Refused
//! MAIL ─ SignIn::still: the same user, if nobody has disabled, changed or removed him since
//! ```

pub mod accounts;
mod check;
pub mod dovecot;
mod guard;
pub mod guesses;
mod passed_on;
pub mod pool;
#[cfg(test)]
mod tests;
pub(crate) mod token;
pub mod verifier;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quell_mail::key::Secret;
use quell_queue::users::Scram;
use tokio::sync::Semaphore;

use self::accounts::Accounts;
use self::dovecot::Dovecot;
use self::guesses::Guesses;
pub use self::passed_on::{PassedOn, Turn};
use self::pool::Pool;
use crate::config::IpNet;
use crate::metrics::Metrics;
use crate::server::log_lines::LogLines;
use crate::server::time::Timekeeper;
use crate::tell::Outbox;

/// Sign-ins that wait because of failures before, at a time; whoever comes beyond that is told to come
/// again at once.
const DELAYED: usize = 64;
/// Commands of `token_command` at a time, and those that wait for one.
const TOKENS: (usize, usize) = (4, 32);
/// Sign-ins in trouble that have a line in the log, each second.
const TROUBLE_LINES: u64 = 5;

/// Who says whether a password is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Users {
    /// The users' store.
    Store,
    /// Dovecot, at its socket `auth-client`.
    Dovecot(PathBuf),
}

/// `[submission]`, as far as it concerns sign-in, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Who is asked.
    pub users: Users,
    /// Program and arguments that say whose a bearer token is. None: OAUTHBEARER is not offered, but
    /// where Dovecot has it.
    pub token_command: Option<Vec<String>>,
    /// Hosts that sign in for many people.
    pub shared_hosts: Vec<IpNet>,
    /// Our domains. The first is that of names without one, as Dovecot has them.
    pub domains: Vec<String>,
}

impl Rules {
    /// Whether an address, in normal form, is in one of our domains.
    fn is_ours(&self, address: &str) -> bool {
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        domain.is_some_and(|domain| self.domains.iter().any(|ours| ours == domain))
    }

    /// `name` with our first domain.
    fn in_first_domain(&self, name: &str) -> Option<String> {
        self.domains.first().map(|domain| format!("{name}@{domain}"))
    }
}

/// The two ends of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address.
    pub remote: IpAddr,
    /// The address it came to.
    pub local: IpAddr,
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The name: mostly an address, in lower case.
    pub name: String,
    /// What may stand as the reverse-path and the author: addresses in lower case, `*@domain`.
    pub addresses: Vec<String>,
    /// The state of the users that this was read from.
    changes: u64,
    by: By,
}

/// Who has said that he is it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Our store; this is of what the password was checked against.
    Store(blake3::Hash),
    /// Dovecot.
    Dovecot,
    /// `token_command`.
    Token,
}

/// What is said to a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// 235.
    Yes(SignedIn),
    /// 535: the name, the password or the token is wrong, or the user is disabled. Nobody is told which.
    No,
    /// 454: trouble of our own, in words for the log.
    Trouble(String),
    /// 421 or 454: too many failures before, from this address or its network. Nothing was checked.
    Refused,
}

/// What can be offered at this moment, over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanisms {
    /// PLAIN and LOGIN: [`SignIn::password`].
    pub password: bool,
    /// SCRAM-SHA-256.
    pub scram: ScramBy,
    /// OAUTHBEARER: [`SignIn::token`].
    pub token: bool,
}

/// How SCRAM-SHA-256 is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramBy {
    /// Not at all.
    Nobody,
    /// By ourselves: [`SignIn::scram_for`], then [`SignIn::scram_done`].
    Us,
    /// By Dovecot: its messages are passed on ([`SignIn::pass_on`]).
    Dovecot,
}

/// What SCRAM begins with, and the right to end it.
pub struct ScramTry {
    /// Salt, rounds and keys: of a user who is not there or is disabled such that no password fits.
    pub stored: Scram,
    name: String,
    attempt: guard::Attempt,
}

/// What is in force at the moment.
struct InForce {
    rules: Rules,
    dovecot: Option<Dovecot>,
}

impl InForce {
    fn of(rules: Rules) -> Self {
        let dovecot = match &rules.users {
            Users::Store => None,
            Users::Dovecot(path) => Some(Dovecot::at(path)),
        };
        Self { rules, dovecot }
    }
}

/// What sign-in needs of the server.
pub struct Means {
    /// The users of the store.
    pub accounts: Arc<Accounts>,
    /// What names are hashed with, and what those who are not there are made of.
    pub secret: Secret,
    /// The clock.
    pub time: Timekeeper,
    /// Numbers for the console.
    pub metrics: Arc<Metrics>,
    /// Where alerts go.
    pub outbox: Option<Outbox>,
}

/// Says who may send. Shared by all connections.
pub struct SignIn {
    accounts: Arc<Accounts>,
    secret: Secret,
    time: Timekeeper,
    metrics: Arc<Metrics>,
    outbox: Mutex<Option<Outbox>>,
    in_force: RwLock<Arc<InForce>>,
    pool: Pool,
    tokens: Pool,
    guesses: Mutex<Guesses>,
    delayed: Semaphore,
    troubles: LogLines,
}

impl SignIn {
    /// By these rules.
    pub fn new(means: Means, rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            accounts: means.accounts,
            secret: means.secret,
            time: means.time,
            metrics: means.metrics,
            outbox: Mutex::new(means.outbox),
            in_force: RwLock::new(Arc::new(InForce::of(rules))),
            pool: Pool::default(),
            tokens: Pool::of(TOKENS.0, TOKENS.1),
            guesses: Mutex::default(),
            delayed: Semaphore::new(DELAYED),
            troubles: LogLines::new(TROUBLE_LINES),
        })
    }

    /// From now on by these rules. Who failed how often stays known.
    pub fn set(&self, rules: &Rules) {
        if self.now().rules != *rules {
            *self.in_force.write().unwrap_or_else(PoisonError::into_inner) =
                Arc::new(InForce::of(rules.clone()));
        }
    }

    /// The server stops: nobody is told any more, so that whoever tells can end.
    pub fn stop(&self) {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The users of the store.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    fn now(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What can be offered.
    pub async fn mechanisms(&self) -> Mechanisms {
        let now = self.now();
        let own_token = now.rules.token_command.is_some();
        let Some(dovecot) = &now.dovecot else {
            return Mechanisms { password: true, scram: ScramBy::Us, token: own_token };
        };
        // A Dovecot that is away is trouble for whoever tries, not a reason to offer nothing.
        let offer = dovecot.mechanisms().await.unwrap_or_else(|_| vec!["PLAIN"]);
        let has = |name: &str| offer.contains(&name);
        let scram = if has("SCRAM-SHA-256") { ScramBy::Dovecot } else { ScramBy::Nobody };
        Mechanisms { password: has("PLAIN"), scram, token: own_token || has("OAUTHBEARER") }
    }

    /// Whether the user is still as he was when he signed in: to be asked at each MAIL, and where a
    /// message is accepted. A user who was disabled, removed, or given another password since is so no
    /// longer; one whose addresses were changed comes back with the new ones.
    pub async fn still(&self, user: &SignedIn) -> Verdict {
        if user.changes == self.accounts.changes() {
            return Verdict::Yes(user.clone());
        }
        self.look_again(user).await
    }
}

#[cfg(test)]
mod addresses {
    use quell_relay::submission::User;

    #[test]
    fn a_user_sends_as_his_own_addresses() {
        let own = ["jane@firm.example", "info@firm.example", "*@shop.example"];
        let addresses = own.map(str::to_owned).to_vec();
        let jane = User { name: own[0].to_owned(), addresses };
        for yes in [
            "jane@firm.example",
            "Jane+lists@FIRM.example",
            "info@firm.example",
            "any.body@Shop.example",
            "\"any body\"@shop.example",
        ] {
            assert!(jane.may_use(yes), "{yes}");
        }
        let strangers = ["", "bob@firm.example", "jane@firm.example.org", "x@sub.shop.example"];
        for no in strangers.into_iter().chain(["shop.example", "@shop.example"]) {
            assert!(!jane.may_use(no), "{no}");
        }
    }
}
