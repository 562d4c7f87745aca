//! Which protocol brought a message, as `Received` names it.

use quell_mail::trace::Tls;

/// How a message came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spoken {
    /// By LMTP, not SMTP.
    pub lmtp: bool,
    /// The client said EHLO.
    pub esmtp: bool,
    /// What protected the connection.
    pub tls: Option<Tls>,
}

impl Spoken {
    /// The keyword of RFC 3848, and of RFC 6531 §4.3 for a transaction with SMTPUTF8.
    pub fn protocol(&self, smtputf8: bool) -> &'static str {
        match (self.lmtp, smtputf8, self.esmtp, self.tls.is_some()) {
            (false, false, false, _) => "SMTP",
            (false, false, true, false) => "ESMTP",
            (false, false, true, true) => "ESMTPS",
            (false, true, _, false) => "UTF8SMTP",
            (false, true, _, true) => "UTF8SMTPS",
            (true, false, _, false) => "LMTP",
            (true, false, _, true) => "LMTPS",
            (true, true, _, false) => "UTF8LMTP",
            (true, true, _, true) => "UTF8LMTPS",
        }
    }
}
