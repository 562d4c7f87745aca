//! PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login §2.1): a name and a password.

use super::{BAD_NAME, BAD_PASSWORD, Credentials, MAX_PASSWORD_BYTES, Secret, name, text};

/// What LOGIN asks first. Clients compare it with what old servers say, which the draft does not.
pub(super) const USER: &[u8] = b"Username:";
/// What LOGIN asks then.
pub(super) const PASSWORD: &[u8] = b"Password:";

/// `[authzid] NUL authcid NUL passwd`; None: for somebody else.
pub(super) fn read(message: &[u8]) -> Result<Option<Credentials>, &'static str> {
    let mut parts = message.split(|byte| *byte == 0);
    let (Some(for_whom), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("that is not PLAIN, RFC 4616 2");
    };
    let user = name(user).ok_or(BAD_NAME)?;
    if !for_whom.is_empty() && for_whom != user.as_bytes() {
        return Ok(None);
    }
    credentials(user, password).map(Some).ok_or(BAD_PASSWORD)
}

/// A name, and the password that goes with it; None: it can be none.
pub(super) fn credentials(user: String, password: &[u8]) -> Option<Credentials> {
    let password = text(password, MAX_PASSWORD_BYTES).filter(|password| !password.is_empty())?;
    Some(Credentials::Password { user, password: Secret::new(password.as_bytes()) })
}
