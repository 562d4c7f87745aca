//! What the next hop offers (RFC 5321 §4.1.1.1).

use super::reply::ServerReply;
use crate::params;

/// The extensions that we use; none for a next hop that was greeted with HELO.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870.
    pub size: bool,
    /// Largest message in bytes, if there is a limit.
    pub max_bytes: Option<u64>,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// Recipients of one transaction (RFC 9422 §4.2, RCPTMAX), if it says so.
    pub max_recipients: Option<usize>,
}

impl Offer {
    /// Reads the answer to EHLO; its first line is the server's name.
    pub fn of(reply: &ServerReply) -> Self {
        let mut offer = Self::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => offer.pipelining = true,
                "8BITMIME" => offer.eight_bit = true,
                "SMTPUTF8" => offer.smtputf8 = true,
                "DSN" => offer.dsn = true,
                "STARTTLS" => offer.starttls = true,
                "LIMITS" => offer.max_recipients = words.find_map(rcptmax),
                "SIZE" => {
                    offer.size = true;
                    // RFC 1870 §4: 0 is no limit.
                    let bytes = words.next().and_then(|word| params::number(word.as_bytes()));
                    offer.max_bytes = bytes.filter(|bytes| *bytes > 0);
                }
                _ => {}
            }
        }
        offer
    }
}

/// The number of `RCPTMAX=number` (RFC 9422 §4.2: never 0).
fn rcptmax(limit: &str) -> Option<usize> {
    let (name, number) = limit.split_once('=')?;
    let number = params::number(number.as_bytes())?;
    let is_wanted = name.eq_ignore_ascii_case("RCPTMAX") && number > 0;
    is_wanted.then(|| usize::try_from(number).unwrap_or(usize::MAX))
}
