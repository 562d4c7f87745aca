//! Replies: what a server says (RFC 5321 §4.2), with enhanced status codes (RFC 3463, RFC 2034).

use std::borrow::Cow;
use std::fmt;

/// Longest line of a reply, CRLF included (RFC 5321 §4.5.3.1.5). Longer text goes on in another
/// line of the same reply.
pub const MAX_REPLY_LINE_BYTES: usize = 512;

/// Longest text of a reply; the rest is dropped. No use of ours comes near it.
pub const MAX_REPLY_TEXT_BYTES: usize = 4096;

/// A reply to one command.
///
/// The class of the enhanced status code is the code's first digit, so that the two cannot
/// contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<(u16, u16)>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with a code of 200 to 599 (another becomes 451: a fault of ours is worth a retry),
    /// subject and detail of its enhanced status code (`(1, 1)` with 550 is `5.1.1`), and a text in
    /// which `\n` begins another line. Anything but printable ASCII is written as `?`.
    pub fn new(code: u16, status: impl Into<Option<(u16, u16)>>, text: impl Into<Cow<'static, str>>) -> Self {
        let code = if (200..600).contains(&code) { code } else { 451 };
        let status = status.into().filter(|_| code / 100 != 3);
        Self { code, status, text: text.into() }
    }

    /// `250 2.1.0`: the reverse-path is taken.
    pub fn sender_ok() -> Self {
        Self::new(250, (1, 0), "sender ok")
    }

    /// `250 2.1.5`: the recipient is taken.
    pub fn recipient_ok() -> Self {
        Self::new(250, (1, 5), "recipient ok")
    }

    /// There is room for the content. After DATA it is written as 354; after BDAT it is not
    /// written, since the chunk's own reply follows.
    pub fn go_ahead() -> Self {
        Self::new(354, None, "go ahead, end with <CRLF>.<CRLF>")
    }

    /// Its code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Whether it says yes (2xx, 3xx).
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Its enhanced status code, `5.1.1`.
    pub fn enhanced(&self) -> Option<String> {
        self.status.map(|(subject, detail)| format!("{}.{subject}.{detail}", self.code / 100))
    }

    /// Whether the connection ends after it (RFC 5321 §3.8, RFC 7504).
    pub fn closes(&self) -> bool {
        matches!(self.code, 421 | 521)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends it as it goes over the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let text = &self.text.as_bytes()[..self.text.len().min(MAX_REPLY_TEXT_BYTES)];
        // `NNN-C.SSS.DDD ` and CRLF take at most 16 bytes, with three digits a number.
        let mut lines =
            text.split(|b| *b == b'\n').flat_map(|line| pieces(line, MAX_REPLY_LINE_BYTES - 16)).peekable();
        while let Some(line) = lines.next() {
            push_number(out, self.code);
            out.push(if lines.peek().is_some() { b'-' } else { b' ' });
            self.push_status(out);
            out.extend(line.iter().map(|b| if matches!(b, b' '..=b'~') { *b } else { b'?' }));
            out.extend_from_slice(b"\r\n");
        }
    }

    fn push_status(&self, out: &mut Vec<u8>) {
        let Some((subject, detail)) = self.status else {
            return;
        };
        for (number, after) in [(self.code / 100, b'.'), (subject, b'.'), (detail, b' ')] {
            push_number(out, number.min(999));
            out.push(after);
        }
    }
}

impl fmt::Display for Reply {
    /// In one line, as a log says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.code)?;
        if let Some(enhanced) = self.enhanced() {
            write!(f, "{enhanced} ")?;
        }
        f.write_str(&self.text.replace('\n', " "))
    }
}

/// `line` in pieces of at most `most` bytes; an empty line is one empty piece.
fn pieces(line: &[u8], most: usize) -> impl Iterator<Item = &[u8]> {
    let empty = line.is_empty().then_some(line);
    empty.into_iter().chain(line.chunks(most))
}

/// Decimal digits of a number below 1000, without allocating.
fn push_number(out: &mut Vec<u8>, number: u16) {
    for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
        if number >= least {
            out.push(b'0' + (number / unit % 10) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn is_written_as_the_rfc_says() {
        for (reply, wire) in [
            (Reply::new(550, (1, 1), "no such user"), "550 5.1.1 no such user\r\n"),
            (Reply::new(250, (1, 10), "ok"), "250 2.1.10 ok\r\n"),
            (Reply::new(451, (7, 104), "x"), "451 4.7.104 x\r\n"),
            (Reply::new(354, (0, 0), "go"), "354 go\r\n"),
            (Reply::new(250, None, "a\nb"), "250-a\r\n250 b\r\n"),
            (Reply::new(250, (0, 0), "a\r\n\nb\u{e9}"), "250-2.0.0 a?\r\n250-2.0.0 \r\n250 2.0.0 b??\r\n"),
            (Reply::new(99, None, "x"), "451 x\r\n"),
            (Reply::new(221, None, ""), "221 \r\n"),
        ] {
            assert_eq!(written(&reply), wire);
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_frame(code: u16, subject: u16, detail: u16, text in "(?s).{0,1500}") {
            let wire = written(&Reply::new(code, (subject, detail), text));
            prop_assert!(wire.ends_with("\r\n"));
            let lines: Vec<&str> = wire.trim_end_matches("\r\n").split("\r\n").collect();
            for (i, line) in lines.iter().enumerate() {
                prop_assert!(line.len() + 2 <= MAX_REPLY_LINE_BYTES);
                prop_assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{}", line);
                prop_assert_eq!(line.as_bytes()[3] == b' ', i + 1 == lines.len());
            }
        }
    }
}
