//! Sign-in: the session's questions go to whoever knows the users, and what follows from the answers.

use std::sync::Arc;

use quell_wire::reply::Reply;
use quell_wire::sasl::{Credentials, StoredScram};
use quell_wire::server::{MailFrom, Question, SignIn};

use super::transaction::Transaction;
use super::{NotTheirs, Reception, Refused, Want, World};
use crate::submission::{User, check_reverse_path};

/// Why somebody is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSignedIn {
    /// Name, password, token or proof are wrong: 535 5.7.8.
    Refused,
    /// It cannot be said at the moment: 454 4.7.0.
    Trouble,
    /// Too many attempts from there: 421 4.7.0, and the connection closes.
    TooMany,
}

impl Reception {
    /// The listener is one for submission (RFC 6409): no mail without sign-in.
    #[must_use]
    pub fn for_submission(self) -> Self {
        Self { submission: true, ..self }
    }

    /// Whoever has signed in.
    pub fn user(&self) -> Option<&User> {
        self.user.as_deref()
    }

    /// The answer to [`Want::SignIn`]: that is this user. What they send is from inside, and bound to
    /// their addresses. Nothing happens if nobody asked, or if the proof was none.
    pub fn signed_in(&mut self, user: User) {
        let Some(question) = self.sign_in.take() else { return };
        if self.session.sign_in(question, SignIn::Accepted) {
            self.source.user = Some(user.name.clone());
            self.source.inside = true;
            self.user = Some(Arc::new(user));
        }
    }

    /// Whoever has signed in may write under other addresses from now on. Nothing happens if nobody has.
    pub fn user_changed(&mut self, user: User) {
        if self.user.is_some() {
            self.user = Some(Arc::new(user));
        }
    }

    /// The answer to [`Want::SignIn`]: nobody. Nothing happens if nobody asked.
    pub fn not_signed_in(&mut self, why: NotSignedIn) {
        let Some(question) = self.sign_in.take() else { return };
        let answer = match why {
            NotSignedIn::Refused => SignIn::Refused,
            NotSignedIn::Trouble => SignIn::Trouble,
            NotSignedIn::TooMany => SignIn::TooMany,
        };
        self.session.sign_in(question, answer);
    }

    /// The answer to [`Want::ScramFor`]: what is stored for the user, or for one that does not exist
    /// something that looks so and is the same every time; and a nonce of at least 16 random bytes and
    /// at most [`quell_wire::sasl::MAX_NONCE_BYTES`]. None: it cannot be said at the moment.
    pub fn scram(&mut self, stored: Option<StoredScram>, nonce: &[u8]) {
        if let Some(question) = self.sign_in.take() {
            self.session.stored(question, stored, nonce);
        }
    }

    pub(super) fn ask_who(&mut self, question: Question, credentials: Credentials) -> Want {
        self.sign_in = Some(question);
        Want::SignIn(credentials)
    }

    pub(super) fn ask_stored(&mut self, question: Question, user: String) -> Want {
        self.sign_in = Some(question);
        Want::ScramFor(user)
    }

    /// 5.7.1 is what the rules of submission say, and nothing else here.
    pub(super) fn tell_not_theirs(&self, reply: &Reply, world: &impl World) {
        if let Some(user) = self.user.as_deref().filter(|_| reply.enhanced().as_deref() == Some("5.7.1")) {
            world.not_theirs(&NotTheirs { user: &user.name, source: self.source.address, reply });
        }
    }

    /// MAIL: a transaction begins, if whoever is there may begin it.
    pub(super) fn mail(&mut self, question: Question, mail: MailFrom, world: &impl World) {
        let may = match &self.user {
            None if self.submission => Err(Reply::new(530, (7, 0), "sign in first")),
            None => Ok(()),
            Some(user) => check_reverse_path(user, &mail.reverse_path),
        };
        match may {
            Ok(()) => {
                self.transaction = Some(Transaction::new(mail, &self.policy, self.user.clone()));
                self.session.answer(question, Reply::sender_ok());
            }
            Err(reply) => {
                world.refused(Refused::Message);
                self.tell_not_theirs(&reply, world);
                self.session.answer(question, reply);
            }
        }
    }
}
