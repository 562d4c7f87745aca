//! The client's side of sign-in, as far as it is shared: what is shown, not yet in base64.

use super::Secret;
use crate::pop3::Password;

/// Longest name of a user. It may be longer than one of ours: providers have addresses.
pub const MAX_USER_BYTES: usize = 320;
/// Longest name of a host.
pub const MAX_HOST_BYTES: usize = 255;

/// A way to sign in by a bearer token (RFC 6750).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Google's, described nowhere but in its documentation, and taken over by others.
    XOAuth2,
    /// RFC 7628.
    OAuthBearer,
}

impl Mechanism {
    /// Both, the one to be preferred first.
    pub const ALL: [Self; 2] = [Self::OAuthBearer, Self::XOAuth2];

    /// Its name in a protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// What is said to a challenge that tells what is wrong, so that the server can refuse
    /// (RFC 7628 §3.2.3).
    pub fn after_error(self) -> &'static [u8] {
        match self {
            Self::XOAuth2 => b"",
            Self::OAuthBearer => b"\x01",
        }
    }
}

/// A token, and where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    user: String,
    token: Password,
    host: String,
    port: u16,
}

/// What cannot be sent to sign in by a token: it would be read as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBearer {
    /// As a user name.
    #[error("a user name has 1 to 320 bytes and no control character")]
    User,
    /// As a token (RFC 6750 §2.1 allows less than we do).
    #[error("a token has printable ASCII only, and no space")]
    Token,
    /// As a host.
    #[error("the name of a host has 1 to 255 bytes, printable ASCII only")]
    Host,
}

impl Bearer {
    /// The token of this user, for the server of this name and port.
    pub fn new(
        user: impl Into<String>,
        token: Password,
        host: impl Into<String>,
        port: u16,
    ) -> Result<Self, BadBearer> {
        let (user, host) = (user.into(), host.into());
        if !is_user(&user) {
            return Err(BadBearer::User);
        }
        if !token.as_bytes().iter().all(u8::is_ascii_graphic) {
            return Err(BadBearer::Token);
        }
        let is_host =
            (1..=MAX_HOST_BYTES).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_graphic());
        is_host.then_some(Self { user, token, host, port }).ok_or(BadBearer::Host)
    }

    /// The first and only response.
    pub fn response(&self, mechanism: Mechanism) -> Secret {
        let Self { user, token, host, port } = self;
        let before = match mechanism {
            Mechanism::XOAuth2 => format!("user={user}\x01auth=Bearer "),
            Mechanism::OAuthBearer => {
                // RFC 5802 §5.1: in this order, since the second brings `=`.
                let user = user.replace('=', "=3D").replace(',', "=2C");
                format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer ")
            }
        };
        Secret::new([before.as_bytes(), token.as_bytes(), b"\x01\x01"].concat())
    }
}

/// The response of PLAIN (RFC 4616 §2). Neither may have a NUL in it.
pub(crate) fn plain(user: &str, password: &Password) -> Secret {
    Secret::new([b"\0", user.as_bytes(), b"\0", password.as_bytes()].concat())
}

/// A user name that is one argument: a newline in it would begin another command.
pub(crate) fn is_user(user: &str) -> bool {
    (1..=MAX_USER_BYTES).contains(&user.len()) && !user.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::{Credentials, Exchange, Mechanism as Served, Turn};

    fn token(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[test]
    fn responses_are_those_of_the_documents() {
        let bearer = Bearer::new(
            "user@example.com",
            token("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
            "server.example.com",
            143,
        )
        .unwrap();
        // RFC 7628 §4.1.
        let wanted = "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
                      auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        assert_eq!(bearer.response(Mechanism::OAuthBearer).as_bytes(), wanted.as_bytes());
        // developers.google.com, "The SASL XOAUTH2 Mechanism".
        let bearer = Bearer::new(
            "someuser@example.com",
            token("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"),
            "x",
            1,
        )
        .unwrap();
        let wanted = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1s\
                      emRHRXVZMjl0Q2cBAQ==";
        assert_eq!(crate::sasl::encode(bearer.response(Mechanism::XOAuth2).as_bytes()), wanted);
    }

    /// The server's side reads what the client's says.
    #[test]
    fn our_own_server_understands() {
        let bearer = Bearer::new("a,b=c@firm.example", token("t-._~+/=="), "pop.example", 995).unwrap();
        let response = bearer.response(Mechanism::OAuthBearer);
        let (_, turn) = Exchange::begin(Served::OauthBearer, Some(response.as_bytes()));
        let user = Some("a,b=c@firm.example".to_owned());
        assert_eq!(turn, Turn::Check(Credentials::Token { user, token: Secret::new(b"t-._~+/==".to_vec()) }));

        let (_, turn) = Exchange::begin(Served::Plain, Some(plain("jane", &token("a b")).as_bytes()));
        let password = Secret::new(b"a b".to_vec());
        assert_eq!(turn, Turn::Check(Credentials::Password { user: "jane".to_owned(), password }));
    }

    #[test]
    fn what_would_be_read_as_something_else_is_refused() {
        for (user, secret, host, error) in [
            ("jane\x01auth=Bearer x", "t", "h", BadBearer::User),
            ("", "t", "h", BadBearer::User),
            (&"x".repeat(321), "t", "h", BadBearer::User),
            ("jane", "two words", "h", BadBearer::Token),
            ("jane", "t\u{e9}", "h", BadBearer::Token),
            ("jane", "t", "", BadBearer::Host),
            ("jane", "t", "h\x01", BadBearer::Host),
            ("jane", "t", &"h".repeat(256), BadBearer::Host),
        ] {
            assert_eq!(Bearer::new(user, token(secret), host, 1), Err(error), "{user} {host}");
        }
        assert!(!format!("{:?}", Bearer::new("jane", token("secret"), "h", 1)).contains("secret"));
    }
}
