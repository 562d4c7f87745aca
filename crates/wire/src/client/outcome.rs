//! What became of a recipient: a closed set, the ledger's.

use std::fmt;

/// Longest text of a status; the rest is dropped.
pub const MAX_STATUS_TEXT_BYTES: usize = 512;

/// Why, in numbers and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Enhanced status code (RFC 3463).
    pub enhanced: (u16, u16, u16),
    /// The code of the reply it comes from. None: nobody said it, we found it.
    pub reply_code: Option<u16>,
    /// Text without control characters, at most [`MAX_STATUS_TEXT_BYTES`].
    pub text: String,
}

impl Status {
    /// A status; text that is too long is cut.
    pub fn new(enhanced: (u16, u16, u16), reply_code: Option<u16>, text: &str) -> Self {
        let text = text[..text.floor_char_boundary(MAX_STATUS_TEXT_BYTES)].replace(char::is_control, "?");
        Self { enhanced, reply_code, text }
    }

    /// It is about a mailbox of the recipient's (5.1.x, 5.2.x), and not about the sender's address
    /// (RFC 3463 §3.2: 5.1.7, 5.1.8). Without an enhanced code, which many servers do not give, the
    /// reply code says it: 550, 551 and 553 are about the mailbox (RFC 5321 §4.2.3).
    fn names_recipient(&self) -> bool {
        match self.enhanced {
            (5, 1, 7 | 8) => false,
            (5, 1 | 2, _) => true,
            (5, 0, 0) => matches!(self.reply_code, Some(550 | 551 | 553)),
            _ => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, subject, detail) = self.enhanced;
        write!(f, "{class}.{subject}.{detail} ")?;
        if let Some(code) = self.reply_code {
            write!(f, "{code} ")?;
        }
        f.write_str(&self.text)
    }
}

/// How the attempt ended for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// LMTP: the next hop has put it into the mailbox.
    Delivered(Status),
    /// SMTP: the next hop has taken it over.
    Relayed(Status),
    /// Refused for good.
    Failed {
        /// Why.
        status: Status,
        /// The next hop said it to this recipient, of this recipient.
        about_recipient: bool,
    },
    /// It did not work this time, and nobody has it by this attempt.
    Temporary(Status),
    /// The end of the message went out and no answer came.
    Unknown(Status),
}

impl Outcome {
    /// A refusal, `named` if it answers something that names one recipient.
    pub(super) fn refused(status: Status, permanent: bool, named: bool) -> Self {
        if !permanent {
            return Self::Temporary(status);
        }
        let about_recipient = named && status.names_recipient();
        Self::Failed { status, about_recipient }
    }

    /// Its status.
    pub fn status(&self) -> &Status {
        match self {
            Self::Delivered(status)
            | Self::Relayed(status)
            | Self::Failed { status, .. }
            | Self::Temporary(status)
            | Self::Unknown(status) => status,
        }
    }
}
