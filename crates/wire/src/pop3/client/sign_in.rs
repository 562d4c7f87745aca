//! Who signs in.

use crate::pop3::Password;

/// Longest user name; a longer one is refused. RFC 1939 §3 has 40 for an argument, providers have
/// addresses.
pub const MAX_USER_BYTES: usize = 320;

/// A user name and its password (RFC 1939 §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    pub(super) user: String,
    pub(super) password: Password,
}

/// Text that cannot be sent as a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 320 bytes and no control character")]
pub struct BadUser;

impl SignIn {
    /// A newline in the name would be read as the beginning of another command: it is refused.
    pub fn new(user: impl Into<String>, password: Password) -> Result<Self, BadUser> {
        let user = user.into();
        let fits = (1..=MAX_USER_BYTES).contains(&user.len()) && !user.contains(char::is_control);
        fits.then_some(Self { user, password }).ok_or(BadUser)
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
        }
    }
}
