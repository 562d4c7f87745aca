//! The checks themselves.

use std::sync::Arc;

use quell_queue::users::{User, UsersError};
use quell_storm::facts::Ms;
use tracing::warn;

use super::accounts::{Accounts, normal_name};
use super::dovecot::{Dovecot, Step, Trouble};
use super::guard::Attempt;
use super::pool::Busy;
use super::{By, Client, InForce, ScramTry, SignIn, SignedIn, Verdict, token, verifier};

/// Longest name that is looked at; a longer one is wrong.
const MAX_NAME_BYTES: usize = 1024;

impl From<Busy> for Verdict {
    fn from(_: Busy) -> Self {
        Self::Trouble("too many sign-ins wait to be checked".to_owned())
    }
}

impl From<Trouble> for Verdict {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            // No password and no token is so long: that is no trouble of ours, and counts.
            Trouble::TooLong => Self::No,
            trouble => Self::Trouble(trouble.to_string()),
        }
    }
}

impl From<UsersError> for Verdict {
    fn from(error: UsersError) -> Self {
        Self::Trouble(error.to_string())
    }
}

/// A found user as he is signed in.
fn signed_in(user: &User, changes: u64) -> SignedIn {
    let addresses = [vec![user.name.clone()], user.addresses.clone()].concat();
    SignedIn { name: user.name.clone(), addresses, changes, by: By::Store(stamp(user)) }
}

fn stamp(user: &User) -> blake3::Hash {
    blake3::hash(user.verifier.argon2.as_bytes())
}

/// What `accounts` says of somebody whom others have let in under this name: a user of that name brings
/// his addresses, and may be disabled. `strangers`: one who is no user may sign in.
fn known_elsewhere(
    accounts: &Accounts,
    (name, address): (&str, Option<&str>),
    (by, strangers): (By, bool),
    changes: u64,
) -> Verdict {
    let user = match address.map(|address| accounts.get(address)).transpose() {
        Ok(found) => found.flatten(),
        Err(why) => return why.into(),
    };
    if user.as_ref().map_or(!strangers, |user| user.disabled) {
        return Verdict::No;
    }
    let own = address.map(str::to_owned).into_iter();
    let addresses = own.chain(user.into_iter().flat_map(|user| user.addresses)).collect();
    Verdict::Yes(SignedIn { name: name.to_owned(), addresses, changes, by })
}

/// Whom a program has let in. Its word is enough for our domains only: a service that has users of other
/// firms too would make an open relay of us.
fn by_token(accounts: &Accounts, now: &InForce, whose: &str, changes: u64) -> Verdict {
    known_elsewhere(accounts, (whose, Some(whose)), (By::Token, now.rules.is_ours(whose)), changes)
}

impl SignIn {
    /// PLAIN and LOGIN: whether the password is that of the user. Takes the same time for users who are
    /// not there, and waits where there were failures before.
    pub async fn password(self: &Arc<Self>, client: &Client, name: &str, password: &[u8]) -> Verdict {
        let now = self.now();
        let plain = if now.dovecot.is_some() { None } else { normal_name(name) };
        let name = plain.as_deref().unwrap_or(name);
        let mut attempt = match self.admit(client.remote, name).await {
            Ok(attempt) => attempt,
            Err(verdict) => return verdict,
        };
        attempt.begin();
        if name.len() > MAX_NAME_BYTES || password.len() > verifier::MAX_PASSWORD_BYTES {
            return attempt.settle(Verdict::No, None);
        }
        match &now.dovecot {
            Some(dovecot) => {
                let message = [b"\0", name.as_bytes(), b"\0", password].concat();
                // A NUL inside would make three parts of two.
                if message.iter().filter(|byte| **byte == 0).count() != 2 {
                    return attempt.settle(Verdict::No, None);
                }
                let verdict = self.ask_dovecot(dovecot, &now, client, ("PLAIN", &message)).await;
                attempt.settle(verdict, None)
            }
            None => self.check_store(attempt, name, password).await,
        }
    }

    async fn check_store(&self, attempt: Attempt, name: &str, password: &[u8]) -> Verdict {
        let (accounts, at_ms) = (Arc::clone(&self.accounts), self.time.now().wall_ms);
        let (name, password) = (name.to_owned(), password.to_vec());
        let checked = self.pool.run(move || check(&accounts, &name, &password, at_ms)).await;
        match checked {
            Ok((verdict, known)) => attempt.settle(verdict, known.as_deref()),
            Err(busy) => attempt.settle(busy.into(), None),
        }
    }

    async fn ask_dovecot(
        &self,
        dovecot: &Dovecot,
        now: &InForce,
        client: &Client,
        (mechanism, initial): (&str, &[u8]),
    ) -> Verdict {
        let addresses = Some((client.remote, client.local));
        let (mut step, mut exchange) = match dovecot.begin(mechanism, addresses, Some(initial)).await {
            Ok(begun) => begun,
            Err(why) => return why.into(),
        };
        // What follows an OAUTHBEARER that failed (RFC 7628 §3.2.3).
        if matches!(step, Step::Continue(_)) {
            step = match exchange.answer(b"\x01").await {
                Ok(step) => step,
                Err(why) => return why.into(),
            };
        }
        match step {
            Step::Yes(user) => self.found_by_dovecot(now, user).await,
            Step::No => Verdict::No,
            Step::Continue(_) => {
                exchange.cancel().await;
                Verdict::No
            }
        }
    }

    /// Whom Dovecot has let in under this name.
    pub(super) async fn found_by_dovecot(&self, now: &InForce, user: String) -> Verdict {
        let first = if user.contains('@') { None } else { now.rules.in_first_domain(&user) };
        let name = normal_name(first.as_deref().unwrap_or(&user));
        let (accounts, changes) = (Arc::clone(&self.accounts), self.accounts.changes());
        let look = move || known_elsewhere(&accounts, (&user, name.as_deref()), (By::Dovecot, true), changes);
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| Busy.into())
    }

    /// SCRAM-SHA-256, begun: what it needs of the user, or of nobody who looks the same. `name` as the
    /// client gave it.
    ///
    /// # Errors
    /// The verdict, where it goes no further.
    pub async fn scram_for(self: &Arc<Self>, client: &Client, name: &str) -> Result<ScramTry, Verdict> {
        let name = normal_name(name).unwrap_or_else(|| name.to_owned());
        let mut attempt = self.admit(client.remote, &name).await?;
        attempt.begin();
        let (accounts, secret, asked) = (Arc::clone(&self.accounts), self.secret.clone(), name.clone());
        let look = move || {
            let user = accounts.get(&asked)?.filter(|user| !user.disabled);
            let fake = || verifier::fake_scram(&secret, &asked);
            Ok(user.map_or_else(fake, |user| user.verifier.scram))
        };
        let looked: Result<_, UsersError> = match tokio::task::spawn_blocking(look).await {
            Ok(looked) => looked,
            Err(_) => return Err(attempt.settle(Busy.into(), None)),
        };
        match looked {
            Ok(stored) => Ok(ScramTry { stored, name, attempt }),
            Err(why) => Err(attempt.settle(why.into(), None)),
        }
    }

    /// SCRAM-SHA-256, ended. `proved`: the client's proof fits what was stored. One that is dropped
    /// instead counts as a failure.
    pub async fn scram_done(&self, scram: ScramTry, proved: bool) -> Verdict {
        let ScramTry { stored, name, attempt } = scram;
        let (accounts, at_ms) = (Arc::clone(&self.accounts), self.time.now().wall_ms);
        let look = move || {
            let changes = accounts.changes();
            let user = match accounts.get(&name) {
                Ok(user) => user,
                Err(why) => return (why.into(), None),
            };
            let Some(user) = user else { return (Verdict::No, None) };
            // Meanwhile he may have been disabled, or given another password.
            if !proved || user.disabled || user.verifier.scram != stored {
                return (Verdict::No, Some(user.name));
            }
            (seen(&accounts, &user, changes, at_ms), Some(user.name))
        };
        let (verdict, known) =
            tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| (Busy.into(), None));
        attempt.settle(verdict, known.as_deref())
    }

    /// OAUTHBEARER: whether the token is good, and whose it is. `user`: the name that the client gave,
    /// if any; it must be the token's.
    pub async fn token(self: &Arc<Self>, client: &Client, user: Option<&str>, token: &[u8]) -> Verdict {
        let now = self.now();
        let mut attempt = match self.admit(client.remote, user.unwrap_or_default()).await {
            Ok(attempt) => attempt,
            Err(verdict) => return verdict,
        };
        attempt.begin();
        let verdict = match (&now.rules.token_command, &now.dovecot) {
            (Some(command), _) => self.ask_command(&now, command.clone(), user, token).await,
            // What separates the parts of the message is in none of them (RFC 7628 §3.1).
            (None, Some(_)) if token.contains(&1) || user.is_some_and(|user| user.contains('\u{1}')) => {
                Verdict::No
            }
            (None, Some(dovecot)) => {
                let head = user.map_or_else(|| "n,,".to_owned(), |user| format!("n,a={},", saslname(user)));
                let message = [head.as_bytes(), b"\x01auth=Bearer ", token, b"\x01\x01"].concat();
                self.ask_dovecot(dovecot, &now, client, ("OAUTHBEARER", &message)).await
            }
            (None, None) => Verdict::No,
        };
        attempt.settle(verdict, None)
    }

    async fn ask_command(
        &self,
        now: &Arc<InForce>,
        command: Vec<String>,
        user: Option<&str>,
        token: &[u8],
    ) -> Verdict {
        let now = Arc::clone(now);
        let (user, token) = (user.map(str::to_owned), token.to_vec());
        let (accounts, changes) = (Arc::clone(&self.accounts), self.accounts.changes());
        let asked = self.tokens.run(move || match token::run(&command, user.as_deref(), &token) {
            Err(why) => Verdict::Trouble(format!("[submission] token_command failed: {why}")),
            Ok(None) => Verdict::No,
            Ok(Some(whose)) => match normal_name(&whose) {
                None => Verdict::Trouble("[submission] token_command printed no address".to_owned()),
                Some(whose) => match user.as_deref().map(normal_name) {
                    Some(given) if given.as_deref() != Some(&whose) => Verdict::No,
                    _ => by_token(&accounts, &now, &whose, changes),
                },
            },
        });
        asked.await.unwrap_or_else(Verdict::from)
    }

    /// See [`SignIn::still`].
    pub(super) async fn look_again(&self, before: &SignedIn) -> Verdict {
        let (accounts, now, before) = (Arc::clone(&self.accounts), self.now(), before.clone());
        let look = move || {
            let changes = accounts.changes();
            let verifier = match before.by {
                By::Store(verifier) => verifier,
                By::Token => return by_token(&accounts, &now, &before.name, changes),
                By::Dovecot => {
                    let first = || now.rules.in_first_domain(&before.name);
                    let name = normal_name(&before.name).or_else(|| normal_name(&first()?));
                    let who = (&*before.name, name.as_deref());
                    return known_elsewhere(&accounts, who, (By::Dovecot, true), changes);
                }
            };
            match accounts.get(&before.name) {
                Ok(Some(user)) if !user.disabled && stamp(&user) == verifier => {
                    Verdict::Yes(signed_in(&user, changes))
                }
                Ok(_) => Verdict::No,
                Err(why) => why.into(),
            }
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| Busy.into())
    }
}

/// The verdict, and the name if there is such a user.
fn check(accounts: &Accounts, name: &str, password: &[u8], now_ms: Ms) -> (Verdict, Option<String>) {
    let changes = accounts.changes();
    let user = match accounts.get(name) {
        Ok(user) => user,
        Err(why) => return (why.into(), None),
    };
    // A disabled user costs the same time as one who mistyped.
    let right = verifier::matches(user.as_ref().map(|user| &user.verifier), password);
    let Some(user) = user else { return (Verdict::No, None) };
    let verdict = if right && !user.disabled { seen(accounts, &user, changes, now_ms) } else { Verdict::No };
    (verdict, Some(user.name))
}

fn seen(accounts: &Accounts, user: &User, changes: u64, now_ms: Ms) -> Verdict {
    if let Err(why) = accounts.seen(user, now_ms) {
        warn!(event = "sign_in_not_noted", user = user.name, reason = %why, "the time of a sign-in could not be written down");
    }
    Verdict::Yes(signed_in(user, changes))
}

/// A name inside a GS2 header (RFC 5801 §4): no bare comma, no bare equals sign.
fn saslname(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}
