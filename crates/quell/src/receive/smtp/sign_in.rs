//! Sign-in on a connection: the session's questions go to [`SignIn`], its verdicts back.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use quell_relay::reception::NotSignedIn;
use quell_relay::submission::User;
use quell_wire::reply::Reply;
use quell_wire::sasl::{Credentials, Mechanism, StoredScram};
use quell_wire::server::Settings;
use tracing::{info, warn};

use super::Connection;
use crate::data::random_bytes;
use crate::sign_in::{Client, Mechanisms, ScramBy, ScramTry, SignIn, SignedIn, Verdict};

/// Bytes of our part of SCRAM's nonce.
const NONCE_BYTES: usize = 18;

/// Who is there, and who says so.
pub(super) struct SignOn {
    by: Arc<SignIn>,
    client: Client,
    /// An exchange of SCRAM under way. One that is dropped counts as a failure.
    scram: Option<ScramTry>,
    signed_in: Option<SignedIn>,
}

impl SignOn {
    pub fn new(by: Arc<SignIn>, client: Client) -> Self {
        Self { by, client, scram: None, signed_in: None }
    }
}

/// The session's settings, with what sign-in can be done by at this moment.
pub(super) async fn settings(base: &Settings, by: &SignIn) -> Arc<Settings> {
    Arc::new(Settings { auth: offered(by.mechanisms().await), ..base.clone() })
}

fn offered(mechanisms: Mechanisms) -> Vec<Mechanism> {
    // That of Dovecot would have to be passed on message by message; a password over TLS is as good there.
    let scram = mechanisms.scram == ScramBy::Us;
    [
        (mechanisms.password, Mechanism::Plain),
        (mechanisms.password, Mechanism::Login),
        (scram, Mechanism::ScramSha256),
        (mechanisms.token, Mechanism::OauthBearer),
    ]
    .into_iter()
    .filter_map(|(is_there, mechanism)| is_there.then_some(mechanism))
    .collect()
}

impl Connection {
    /// Are these credentials right?
    pub(super) async fn sign_in(&mut self, credentials: Credentials) -> io::Result<()> {
        self.flush().await?;
        let mut stop = self.stop.clone();
        let verdict = tokio::select! {
            verdict = self.user.check(credentials) => verdict,
            _ = stop.wait_for(|stop| *stop) => Verdict::Trouble("the server stops".to_owned()),
        };
        match verdict {
            Verdict::Yes(user) => {
                self.reception.signed_in(user_of(&user));
                self.user.signed_in = self.reception.user().is_some().then_some(user);
            }
            Verdict::No => self.reception.not_signed_in(NotSignedIn::Refused),
            Verdict::Trouble(_) => self.reception.not_signed_in(NotSignedIn::Trouble),
            Verdict::Refused => self.reception.not_signed_in(NotSignedIn::TooMany),
        }
        Ok(())
    }

    /// What is stored for a user who signs in by SCRAM?
    pub(super) async fn scram_for(&mut self, name: &str) -> io::Result<()> {
        self.flush().await?;
        let nonce = random_bytes::<NONCE_BYTES>().inspect_err(
            |why| warn!(event = "no_random", reason = %why, "no random numbers: nobody can sign in by SCRAM"),
        );
        let mut stop = self.stop.clone();
        let begun = tokio::select! {
            begun = self.user.by.scram_for(&self.user.client, name) => begun,
            _ = stop.wait_for(|stop| *stop) => Err(Verdict::Trouble("the server stops".to_owned())),
        };
        let stored = match begun {
            Ok(begun) => {
                let stored = stored(&begun);
                self.user.scram = Some(begun);
                stored
            }
            Err(Verdict::Refused) => {
                self.reception.not_signed_in(NotSignedIn::TooMany);
                return Ok(());
            }
            Err(_) => None,
        };
        // Without a nonce nothing goes on.
        let stored = stored.filter(|_| nonce.is_ok());
        self.reception.scram(stored, nonce.as_ref().map_or(&[][..], |nonce| nonce));
        Ok(())
    }

    /// A user who has been disabled, removed, or given another password is sent away; one who has got
    /// other addresses goes on with these.
    pub(super) async fn still_signed_in(&mut self) {
        let Some(user) = &self.user.signed_in else { return };
        match self.user.by.still(user).await {
            Verdict::Yes(now) if now == *user => {}
            Verdict::Yes(now) => {
                self.reception.user_changed(user_of(&now));
                self.user.signed_in = Some(now);
            }
            Verdict::No | Verdict::Refused => {
                info!(
                    event = "signed_out",
                    user = user.name,
                    "a user was disabled or changed, and has to sign in anew"
                );
                self.user.signed_in = None;
                self.reception.shut_down(&Reply::new(421, (7, 0), "Sign in again"));
            }
            Verdict::Trouble(why) => {
                warn!(
                    event = "sign_in_trouble",
                    user = user.name,
                    reason = why,
                    "nobody could say whether a user may still send"
                );
                self.reception.shut_down(&Reply::new(421, (3, 0), "Trouble of our own; try again later"));
            }
        }
    }
}

impl SignOn {
    async fn check(&mut self, credentials: Credentials) -> Verdict {
        match credentials {
            Credentials::Password { user, password } => {
                self.by.password(&self.client, &user, password.as_bytes()).await
            }
            Credentials::Token { user, token } => {
                self.by.token(&self.client, user.as_deref(), token.as_bytes()).await
            }
            Credentials::Scram { proved, .. } => match self.scram.take() {
                Some(begun) => self.by.scram_done(begun, proved).await,
                None => Verdict::No,
            },
        }
    }
}

fn user_of(user: &SignedIn) -> User {
    User { name: user.name.clone(), addresses: user.addresses.clone() }
}

/// None: what is stored cannot be used.
fn stored(begun: &ScramTry) -> Option<StoredScram> {
    let of = &begun.stored;
    Some(StoredScram {
        salt: of.salt.to_vec(),
        iterations: NonZeroU32::new(of.iterations)?,
        stored_key: of.stored_key,
        server_key: of.server_key,
    })
}
