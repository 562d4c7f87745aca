//! Who signs in.

use crate::pop3::Password;
use crate::sasl::client::{BadBearer, Bearer, Mechanism, is_user};

/// A user name, and its password (RFC 1939 §7) or token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    pub(super) user: String,
    pub(super) proof: Proof,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    Password(Password),
    /// A token, and by which mechanism; none: whichever is offered.
    Token(Bearer, Option<Mechanism>),
}

/// Text that cannot be sent as a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 320 bytes and no control character")]
pub struct BadUser;

impl SignIn {
    /// By a password: USER and PASS, or AUTH PLAIN where that alone is offered. A newline in the name
    /// would be read as the beginning of another command: it is refused.
    pub fn new(user: impl Into<String>, password: Password) -> Result<Self, BadUser> {
        let (user, proof) = (user.into(), Proof::Password(password));
        is_user(&user).then_some(Self { user, proof }).ok_or(BadUser)
    }

    /// By a bearer token, for the server of this name and port. A `mechanism` that is named is
    /// tried where CAPA is not known, too; otherwise it must be offered ([`super::Why::NoMechanism`]).
    pub fn bearer(
        user: impl Into<String>,
        token: Password,
        mechanism: Option<Mechanism>,
        host: &str,
        port: u16,
    ) -> Result<Self, BadBearer> {
        let user = user.into();
        let bearer = Bearer::new(user.clone(), token, host, port)?;
        Ok(Self { user, proof: Proof::Token(bearer, mechanism) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_argument() {
        let password = Password::new("x").unwrap();
        for (user, good) in
            [("jane@firm.example", true), ("", false), ("a\r\nDELE 1", false), (&"x".repeat(321), false)]
        {
            assert_eq!(SignIn::new(user, password.clone()).is_ok(), good, "{user}");
            let bearer = SignIn::bearer(user, password.clone(), None, "pop.example", 995);
            assert_eq!(bearer.is_ok(), good, "{user}");
        }
    }
}
