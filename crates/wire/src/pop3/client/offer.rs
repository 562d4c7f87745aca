//! What a server offers (RFC 2449 §6), as far as it concerns us.

use crate::params;

/// What the server has said it offers; nothing, before it has answered CAPA.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offer {
    /// It answered CAPA. If not, it is of before 1998: `uidl` and `top` are true then, since what it
    /// can do is found by trying.
    pub capa: bool,
    /// Messages have names that last (UIDL, §6.8).
    pub uidl: bool,
    /// Several commands may be under way (§6.6).
    pub pipelining: bool,
    /// The header can be had alone (TOP, §6.1).
    pub top: bool,
    /// Seconds between two sign-ins, at least (LOGIN-DELAY, §6.5). It may differ for this user.
    pub login_delay_secs: Option<u32>,
    /// Days that a message stays (EXPIRE, §6.7); none: it does not say, or for ever. 0: what was
    /// retrieved may go at QUIT without DELE. It may differ for this user.
    pub expire_days: Option<u32>,
}

/// How TLS and sign-in are to be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Means {
    /// RFC 2595 §4.
    pub stls: bool,
    /// USER and PASS (RFC 2449 §6.2).
    pub user: bool,
    /// RFC 4616.
    pub plain: bool,
    /// No RFC: Google's, and taken over by others.
    pub xoauth2: bool,
    /// RFC 7628.
    pub oauthbearer: bool,
}

impl Offer {
    /// Of a server that does not know CAPA.
    pub(super) fn unknown() -> Self {
        Self { uidl: true, top: true, ..Self::default() }
    }

    /// A line of the answer to CAPA.
    pub(super) fn read(&mut self, means: &mut Means, line: &[u8]) {
        let mut words = line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        match name.as_slice() {
            b"UIDL" => self.uidl = true,
            b"PIPELINING" => self.pipelining = true,
            b"TOP" => self.top = true,
            b"LOGIN-DELAY" => self.login_delay_secs = words.next().and_then(number),
            // NEVER is no number.
            b"EXPIRE" => self.expire_days = words.next().and_then(number),
            b"STLS" => means.stls = true,
            b"USER" => means.user = true,
            b"SASL" => words.for_each(|mechanism| means.mechanism(mechanism)),
            _ => {}
        }
    }
}

impl Means {
    fn mechanism(&mut self, name: &[u8]) {
        self.plain |= name.eq_ignore_ascii_case(b"PLAIN");
        self.xoauth2 |= name.eq_ignore_ascii_case(b"XOAUTH2");
        self.oauthbearer |= name.eq_ignore_ascii_case(b"OAUTHBEARER");
    }
}

/// What does not fit is as much as can be said.
fn number(word: &[u8]) -> Option<u32> {
    params::number(word).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read() {
        let none = Offer::default();
        for (line, wanted) in [
            (&b"uidl"[..], Offer { uidl: true, ..none }),
            (b"PIPELINING", Offer { pipelining: true, ..none }),
            (b"TOP", Offer { top: true, ..none }),
            (b"LOGIN-DELAY 900", Offer { login_delay_secs: Some(900), ..none }),
            (b"LOGIN-DELAY 900 USER", Offer { login_delay_secs: Some(900), ..none }),
            (b"LOGIN-DELAY 99999999999", Offer { login_delay_secs: Some(u32::MAX), ..none }),
            (b"LOGIN-DELAY soon", none),
            (b"LOGIN-DELAY", none),
            (b"EXPIRE 0", Offer { expire_days: Some(0), ..none }),
            (b"EXPIRE 60  USER", Offer { expire_days: Some(60), ..none }),
            (b"EXPIRE NEVER", none),
            (b"EXPIRE -1", none),
            (b"UIDLX", none),
            (b"", none),
        ] {
            let (mut offer, mut means) = (none, Means::default());
            offer.read(&mut means, line);
            assert_eq!((offer, means), (wanted, Means::default()), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn ways_to_sign_in_are_read() {
        let none = Means::default();
        for (line, wanted) in [
            (&b"stls"[..], Means { stls: true, ..none }),
            (b"USER", Means { user: true, ..none }),
            (b"SASL", none),
            (b"SASL LOGIN CRAM-MD5", none),
            (b"Sasl plain XOAUTH2", Means { plain: true, xoauth2: true, ..none }),
            (b"SASL PLAIN-CLIENTTOKEN OAuthBearer", Means { oauthbearer: true, ..none }),
        ] {
            let (mut offer, mut means) = (Offer::default(), none);
            offer.read(&mut means, line);
            assert_eq!((offer, means), (Offer::default(), wanted), "{}", line.escape_ascii());
        }
    }
}
