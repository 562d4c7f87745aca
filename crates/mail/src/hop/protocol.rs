//! What the words after `with` mean.

/// The protocol of a hop (RFC 3848, RFC 6531 §4.3, and what servers write besides).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the words of the registry")]
pub enum Protocol {
    /// No protocol is named.
    #[default]
    None,
    Smtp,
    Smtps,
    Esmtp,
    Esmtps,
    Esmtpa,
    Esmtpsa,
    Lmtp,
    Lmtps,
    Lmtpa,
    Lmtpsa,
    Utf8Smtp,
    Utf8Smtps,
    Utf8Smtpa,
    Utf8Smtpsa,
    Utf8Lmtp,
    Utf8Lmtps,
    Utf8Lmtpa,
    Utf8Lmtpsa,
    /// Web mail, or an interface over HTTP.
    Http,
    Pop3,
    Pop3s,
    Imap,
    /// Given to the server on its own machine.
    Local,
    /// Within Exchange: from a mailbox to the transport.
    Mapi,
    /// The SMTP service of Windows 2000 and later, and of Exchange 2000 and 2003.
    MicrosoftSmtpsvc,
    /// Exchange 2007 and later, and Microsoft 365.
    MicrosoftSmtp,
    /// Some word that is none of these.
    Other,
}

impl Protocol {
    /// Whether the stamp says by it that the way was encrypted.
    pub fn is_encrypted(self) -> bool {
        use Protocol::{
            Esmtps, Esmtpsa, Lmtps, Lmtpsa, Pop3s, Smtps, Utf8Lmtps, Utf8Lmtpsa, Utf8Smtps, Utf8Smtpsa,
        };
        matches!(
            self,
            Smtps
                | Esmtps
                | Esmtpsa
                | Lmtps
                | Lmtpsa
                | Pop3s
                | Utf8Smtps
                | Utf8Smtpsa
                | Utf8Lmtps
                | Utf8Lmtpsa
        )
    }

    /// Whether the stamp says by it that the sender proved who it is.
    pub fn is_authenticated(self) -> bool {
        use Protocol::{Esmtpa, Esmtpsa, Lmtpa, Lmtpsa, Utf8Lmtpa, Utf8Lmtpsa, Utf8Smtpa, Utf8Smtpsa};
        matches!(self, Esmtpa | Esmtpsa | Lmtpa | Lmtpsa | Utf8Smtpa | Utf8Smtpsa | Utf8Lmtpa | Utf8Lmtpsa)
    }

    /// The same with encryption, where there is a word for it.
    pub(super) fn encrypted(self) -> Protocol {
        match self {
            Protocol::Smtp => Protocol::Smtps,
            Protocol::Esmtp => Protocol::Esmtps,
            Protocol::Esmtpa => Protocol::Esmtpsa,
            Protocol::Lmtp => Protocol::Lmtps,
            Protocol::Lmtpa => Protocol::Lmtpsa,
            other => other,
        }
    }
}

/// What `with` (or `via`) means: the first of its words that is a protocol.
pub(super) fn of(words: &[u8]) -> Protocol {
    let mut found = Protocol::None;
    for word in words.split(|b| b.is_ascii_whitespace() || matches!(b, b'[' | b']' | b'/' | b',')) {
        match of_word(word) {
            _ if word.is_empty() => {}
            Protocol::Other if word.eq_ignore_ascii_case(b"tls") => found = found.encrypted(),
            Protocol::Other if found == Protocol::None => found = Protocol::Other,
            Protocol::Other => {}
            // `Microsoft SMTP Server`.
            Protocol::Smtp if starts_with(words, b"microsoft") => return Protocol::MicrosoftSmtp,
            one if matches!(found, Protocol::None | Protocol::Other) => found = one,
            _ => {}
        }
    }
    found
}

fn starts_with(bytes: &[u8], begin: &[u8]) -> bool {
    bytes.get(..begin.len()).is_some_and(|b| b.eq_ignore_ascii_case(begin))
}

fn of_word(word: &[u8]) -> Protocol {
    // Exim: `local-esmtp` is SMTP over a pipe.
    let word = if starts_with(word, b"local-") { &word[6..] } else { word };
    let mut upper = [0; 12];
    let Some(upper) = upper.get_mut(..word.len()) else { return Protocol::Other };
    upper.copy_from_slice(word);
    upper.make_ascii_uppercase();
    match &*upper {
        b"ESMTP" => Protocol::Esmtp,
        b"ESMTPS" | b"ESMTP-TLS" | b"ESSMTP" => Protocol::Esmtps,
        b"SMTP" | b"BSMTP" | b"SMTPD" => Protocol::Smtp,
        b"SMTPS" | b"SMTP-TLS" => Protocol::Smtps,
        b"ESMTPA" | b"ASMTP" | b"SMTPA" => Protocol::Esmtpa,
        b"ESMTPSA" | b"SMTPSA" => Protocol::Esmtpsa,
        b"LMTP" => Protocol::Lmtp,
        b"LMTPS" => Protocol::Lmtps,
        b"LMTPA" => Protocol::Lmtpa,
        b"LMTPSA" => Protocol::Lmtpsa,
        b"UTF8SMTP" => Protocol::Utf8Smtp,
        b"UTF8SMTPS" => Protocol::Utf8Smtps,
        b"UTF8SMTPA" => Protocol::Utf8Smtpa,
        b"UTF8SMTPSA" => Protocol::Utf8Smtpsa,
        b"UTF8LMTP" => Protocol::Utf8Lmtp,
        b"UTF8LMTPS" => Protocol::Utf8Lmtps,
        b"UTF8LMTPA" => Protocol::Utf8Lmtpa,
        b"UTF8LMTPSA" => Protocol::Utf8Lmtpsa,
        b"HTTP" | b"HTTPS" | b"HTTPREST" | b"HTTPU" | b"HTTPUPLOAD" => Protocol::Http,
        b"POP3" | b"POP" | b"APOP" => Protocol::Pop3,
        b"POP3S" => Protocol::Pop3s,
        b"IMAP" | b"IMAPS" | b"IMAP4" | b"IMAP4REV1" => Protocol::Imap,
        b"LOCAL" | b"STDIO" | b"STDIN" => Protocol::Local,
        b"MAPI" => Protocol::Mapi,
        b"SMTPSVC" => Protocol::MicrosoftSmtpsvc,
        _ => Protocol::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings() {
        for (words, wanted) in [
            ("ESMTP", Protocol::Esmtp),
            ("esmtpsa", Protocol::Esmtpsa),
            ("ESMTP/TLS/DHE-RSA-AES256-GCM-SHA384", Protocol::Esmtps),
            ("ESMTP-TLS", Protocol::Esmtps),
            ("local-bsmtp", Protocol::Smtp),
            ("Microsoft SMTPSVC", Protocol::MicrosoftSmtpsvc),
            ("Microsoft SMTP Server", Protocol::MicrosoftSmtp),
            ("[XMail 1.20 ESMTP Server]", Protocol::Esmtp),
            ("MailEnable ESMTP", Protocol::Esmtp),
            ("AES256-GCM-SHA384 encrypted SMTP", Protocol::Smtp),
            ("NNFMP", Protocol::Other),
            ("UTF8SMTPSA", Protocol::Utf8Smtpsa),
            ("a-word-that-is-longer-than-all", Protocol::Other),
            ("", Protocol::None),
        ] {
            assert_eq!(of(words.as_bytes()), wanted, "{words}");
        }
        assert!(Protocol::Esmtpsa.is_encrypted() && Protocol::Esmtpsa.is_authenticated());
        assert!(!Protocol::Esmtp.is_encrypted() && !Protocol::Esmtps.is_authenticated());
    }
}
