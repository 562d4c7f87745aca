//! A password, which no log shows.

use std::fmt;

/// Longest password; a longer one is refused. Tokens that serve as passwords have a few hundred.
pub const MAX_PASSWORD_BYTES: usize = 4096;

/// The argument of PASS (RFC 1939 §7): any bytes but control characters, spaces among them.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

/// Bytes that cannot be sent as a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// There is none.
    #[error("the password is empty")]
    Empty,
    /// Longer than [`MAX_PASSWORD_BYTES`].
    #[error("the password has more than 4096 bytes")]
    TooLong,
    /// A control character: a newline in it would be read as the beginning of another command.
    #[error("the password has a control character in it")]
    Control,
}

impl Password {
    /// A password of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BadPassword> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(BadPassword::Empty),
            len if len > MAX_PASSWORD_BYTES => Err(BadPassword::TooLong),
            _ if bytes.iter().any(u8::is_ascii_control) => Err(BadPassword::Control),
            _ => Ok(Self(bytes)),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_taken_and_not_shown() {
        assert_eq!(format!("{:?}", Password::new("a secret").unwrap()), "Password(..)");
        for (bytes, error) in [
            (vec![], BadPassword::Empty),
            (b"a\r\nDELE 1".to_vec(), BadPassword::Control),
            (vec![b'x'; MAX_PASSWORD_BYTES + 1], BadPassword::TooLong),
        ] {
            assert_eq!(Password::new(bytes), Err(error));
        }
    }
}
