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
    /// Somebody had signed in (RFC 4954; in SMTP only).
    pub signed_in: bool,
    /// It was collected, by this protocol.
    pub pickup: Option<&'static str>,
}

impl Spoken {
    /// The keyword of RFC 3848, and of RFC 6531 §4.3 for a transaction with SMTPUTF8. Whoever signed in
    /// after HELO used an extension all the same.
    pub fn protocol(&self, smtputf8: bool) -> &'static str {
        if let Some(protocol) = self.pickup {
            return protocol;
        }
        match (self.lmtp, smtputf8, self.tls.is_some(), self.signed_in) {
            (false, false, _, false) if !self.esmtp => "SMTP",
            (false, false, false, false) => "ESMTP",
            (false, false, false, true) => "ESMTPA",
            (false, false, true, false) => "ESMTPS",
            (false, false, true, true) => "ESMTPSA",
            (false, true, false, false) => "UTF8SMTP",
            (false, true, false, true) => "UTF8SMTPA",
            (false, true, true, false) => "UTF8SMTPS",
            (false, true, true, true) => "UTF8SMTPSA",
            (true, false, false, _) => "LMTP",
            (true, false, true, _) => "LMTPS",
            (true, true, false, _) => "UTF8LMTP",
            (true, true, true, _) => "UTF8LMTPS",
        }
    }
}
