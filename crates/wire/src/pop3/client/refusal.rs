//! What a server says no with (RFC 1939 §3, RFC 2449 §8, RFC 3206).

use std::fmt;

use crate::printable::printable;

/// Longest text of a refusal that is kept; the rest is cut off.
pub const MAX_REFUSAL_BYTES: usize = 512;

/// A response code that we know (RFC 2449 §8.1, RFC 3206 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The user name or the password is wrong.
    Auth,
    /// Another session has the maildrop.
    InUse,
    /// Signed in again too soon.
    LoginDelay,
    /// Trouble of the server's that will pass.
    SysTemp,
    /// Trouble of the server's that a person must mend.
    SysPerm,
}

/// An `-ERR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its response code, if it has one that we know.
    pub code: Option<Code>,
    /// Its text, for the operator. What is not printable ASCII stands as `?`.
    pub text: String,
    /// What its challenge said before, if a token is wrong: most often JSON (RFC 7628 §3.2.2), as long
    /// and as clean as `text`.
    pub explained: Option<String>,
}

impl Refusal {
    /// Of the text that follows `-ERR`.
    pub(super) fn of(text: &[u8]) -> Self {
        let text = printable(text, MAX_REFUSAL_BYTES);
        Self { code: Code::of(&text), text, explained: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-ERR {}", self.text)?;
        self.explained.iter().try_for_each(|text| write!(f, " ({text})"))
    }
}

impl Code {
    fn of(text: &str) -> Option<Self> {
        let (code, _) = text.strip_prefix('[')?.split_once(']')?;
        match code.to_ascii_uppercase().as_str() {
            "AUTH" => Some(Self::Auth),
            "IN-USE" => Some(Self::InUse),
            "LOGIN-DELAY" => Some(Self::LoginDelay),
            "SYS/TEMP" => Some(Self::SysTemp),
            "SYS/PERM" => Some(Self::SysPerm),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read() {
        for (text, code, shown) in [
            (&b" [AUTH] wrong"[..], Some(Code::Auth), "-ERR [AUTH] wrong"),
            (b" [in-use] later", Some(Code::InUse), "-ERR [in-use] later"),
            (b" [LOGIN-DELAY]", Some(Code::LoginDelay), "-ERR [LOGIN-DELAY]"),
            (b" [SYS/TEMP] x", Some(Code::SysTemp), "-ERR [SYS/TEMP] x"),
            (b" [SYS/PERM] x", Some(Code::SysPerm), "-ERR [SYS/PERM] x"),
            (b" [NEW] x", None, "-ERR [NEW] x"),
            (b" [AUTH x", None, "-ERR [AUTH x"),
            (b"", None, "-ERR "),
            (b" a\x1b[2Jb\xc3\xa9", None, "-ERR a?[2Jb??"),
        ] {
            let refusal = Refusal::of(text);
            assert_eq!((refusal.code, refusal.to_string().as_str()), (code, shown));
        }
        assert_eq!(Refusal::of(&[b'x'; 2000]).text.len(), MAX_REFUSAL_BYTES);
    }
}
