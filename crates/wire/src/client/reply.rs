//! What a server says (RFC 5321 §4.2), read with limits.
//!
//! `smtp-proto` 0.2.5 takes the code of the first line for all and does not look at the others; a
//! reply that contradicts itself must not become an outcome, so replies are read by us.

use super::outcome::Status;

/// Longest line, its end included; RFC 5321 §4.5.3.1.5 says 512. A longer one is a fault.
pub const MAX_REPLY_LINE_BYTES: usize = 2048;
/// Most lines of one reply. More is a fault.
pub const MAX_REPLY_LINES: usize = 100;
/// Most bytes of one reply, line ends included. More is a fault.
pub const MAX_REPLY_BYTES: usize = 64 << 10;
/// Most bytes that wait to be read as replies. More is a fault: nobody asked for so much.
pub const MAX_UNREAD_BYTES: usize = 256 << 10;

/// Bytes that are no reply. Nothing that follows them can be trusted to answer anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// No code of 200 to 599, or no space, hyphen or line end after it.
    #[error("a reply without a code")]
    Syntax,
    /// Two lines of one reply have different codes.
    #[error("a reply with two codes")]
    TwoCodes,
    /// Past [`MAX_REPLY_LINE_BYTES`], [`MAX_REPLY_LINES`], [`MAX_REPLY_BYTES`] or
    /// [`MAX_UNREAD_BYTES`].
    #[error("a reply that is too long")]
    TooLong,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReply {
    /// 200 to 599.
    pub code: u16,
    /// The first enhanced status code in it (RFC 2034) whose class is that of the code.
    pub enhanced: Option<(u16, u16, u16)>,
    /// The text of each line, without codes. Control characters and what is not UTF-8 are replaced.
    pub lines: Vec<String>,
}

impl ServerReply {
    /// It says yes.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// It says no: 4xx, 5xx.
    pub fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// It says no for good.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// As a status; without an enhanced code it is `4.0.0` or `5.0.0`.
    pub fn status(&self) -> Status {
        let enhanced = self.enhanced.unwrap_or((self.code / 100, 0, 0));
        Status::new(enhanced, Some(self.code), &self.lines.join(" "))
    }
}

/// Cuts a stream into replies.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    used: usize,
    scanned: usize,
    overflow: bool,
    partial: Option<ServerReply>,
    partial_bytes: usize,
}

impl Reader {
    /// Takes input.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.used);
        self.used = 0;
        if self.overflow || self.buffer.len() + bytes.len() > MAX_UNREAD_BYTES {
            self.overflow = true;
            return;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Nothing came that was not given out.
    pub fn is_empty(&self) -> bool {
        self.used == self.buffer.len() && self.partial.is_none() && !self.overflow
    }

    /// The next reply; none if it is not there yet. The result does not depend on how the stream was
    /// cut into inputs. After a fault the reader is of no more use.
    pub fn read(&mut self) -> Result<Option<ServerReply>, BadReply> {
        if self.overflow {
            return Err(BadReply::TooLong);
        }
        while let Some(line) = self.line()? {
            let partial = self.partial.get_or_insert_with(|| ServerReply {
                code: line.code,
                enhanced: None,
                lines: Vec::new(),
            });
            if partial.code != line.code {
                return Err(BadReply::TwoCodes);
            }
            partial.enhanced = partial.enhanced.or(line.enhanced);
            partial.lines.push(line.text);
            if partial.lines.len() > MAX_REPLY_LINES || self.partial_bytes > MAX_REPLY_BYTES {
                return Err(BadReply::TooLong);
            }
            if line.last {
                self.partial_bytes = 0;
                return Ok(self.partial.take());
            }
        }
        Ok(None)
    }

    /// The next line. A bare LF ends one too, as some servers send it.
    fn line(&mut self) -> Result<Option<Line>, BadReply> {
        let unread = &self.buffer[self.used..];
        let end = memchr::memchr(b'\n', &unread[self.scanned..]).map(|at| self.scanned + at + 1);
        if end.unwrap_or(unread.len()) > MAX_REPLY_LINE_BYTES {
            return Err(BadReply::TooLong);
        }
        let Some(end) = end else {
            self.scanned = unread.len();
            return Ok(None);
        };
        let line = Line::parse(unread[..end - 1].strip_suffix(b"\r").unwrap_or(&unread[..end - 1]))?;
        self.scanned = 0;
        self.used += end;
        self.partial_bytes += end;
        Ok(Some(line))
    }
}

struct Line {
    code: u16,
    last: bool,
    enhanced: Option<(u16, u16, u16)>,
    text: String,
}

impl Line {
    fn parse(line: &[u8]) -> Result<Self, BadReply> {
        let (code, rest) = line.split_at_checked(3).ok_or(BadReply::Syntax)?;
        let code = short_number(code).ok_or(BadReply::Syntax)?;
        if !(200..600).contains(&code) {
            return Err(BadReply::Syntax);
        }
        let (last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(BadReply::Syntax),
        };
        let (enhanced, text) = split_enhanced(text);
        let enhanced = enhanced.filter(|(class, ..)| *class == code / 100);
        let text = String::from_utf8_lossy(text).replace(char::is_control, "?");
        Ok(Self { code, last, enhanced, text })
    }
}

/// The enhanced status code that the text begins with (RFC 2034 §4), and the rest.
fn split_enhanced(text: &[u8]) -> (Option<(u16, u16, u16)>, &[u8]) {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    let mut parts = text[..end].split(|b| *b == b'.').map(short_number);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(class)), Some(Some(subject)), Some(Some(detail)), None) => {
            (Some((class, subject, detail)), text[end..].trim_ascii_start())
        }
        _ => (None, text),
    }
}

/// One to three digits.
fn short_number(digits: &[u8]) -> Option<u16> {
    let fits = (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| digits.iter().fold(0, |n, b| n * 10 + u16::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All replies of a stream that comes in pieces of `cut` bytes, and the fault that ended it.
    fn read_all(stream: &[u8], cut: usize) -> (Vec<ServerReply>, Option<BadReply>) {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        for piece in stream.chunks(cut.max(1)) {
            reader.push(piece);
            loop {
                match reader.read() {
                    Ok(Some(reply)) => found.push(reply),
                    Ok(None) => break,
                    Err(bad) => return (found, Some(bad)),
                }
            }
        }
        (found, None)
    }

    fn shown(stream: &str) -> String {
        let (replies, bad) = read_all(stream.as_bytes(), stream.len());
        let replies: Vec<String> =
            replies.iter().map(|r| format!("{} [{}]", r.status(), r.lines.len())).collect();
        format!("{}{}", replies.join("; "), bad.map_or(String::new(), |bad| format!("; {bad}")))
    }

    #[test]
    fn replies_are_read() {
        for (stream, expected) in [
            ("250 ok\r\n", "2.0.0 250 ok [1]"),
            ("250\r\n", "2.0.0 250  [1]"),
            ("250-a\r\n250 b\n", "2.0.0 250 a b [2]"),
            ("550 5.1.1 no\r\n", "5.1.1 550 no [1]"),
            ("550-5.1.1 no\r\n550 5.1.1 never\r\n", "5.1.1 550 no never [2]"),
            ("550 4.1.1 no\r\n", "5.0.0 550 no [1]"),
            ("550 5.1.1000 no\r\n", "5.0.0 550 5.1.1000 no [1]"),
            ("451 4.7.1\r\n", "4.7.1 451  [1]"),
            ("250 a\0b\u{7f}\r\n", "2.0.0 250 a?b? [1]"),
            ("250-a\r\n550 b\r\n", "; a reply with two codes"),
            ("250 a\r\nhello\r\n", "2.0.0 250 a [1]; a reply without a code"),
            ("250:a\r\n", "; a reply without a code"),
            ("199 a\r\n", "; a reply without a code"),
            ("600 a\r\n", "; a reply without a code"),
            ("25\r\n", "; a reply without a code"),
        ] {
            assert_eq!(shown(stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let line = |bytes: usize| format!("250 {}\r\n", "x".repeat(bytes - 6)).into_bytes();
        assert_eq!(read_all(&line(MAX_REPLY_LINE_BYTES), 700).1, None);
        assert_eq!(read_all(&line(MAX_REPLY_LINE_BYTES + 1), 700).1, Some(BadReply::TooLong));
        let lines = |count: usize| [b"250-a\r\n".repeat(count - 1), b"250 a\r\n".to_vec()].concat();
        assert_eq!(read_all(&lines(MAX_REPLY_LINES), 700).1, None);
        assert_eq!(read_all(&lines(MAX_REPLY_LINES + 1), 700).1, Some(BadReply::TooLong));
        let long = format!("250-{}\r\n", "x".repeat(2000)).into_bytes().repeat(40);
        assert_eq!(read_all(&long, 700).1, Some(BadReply::TooLong));
        assert_eq!(read_all(&[b'2'; MAX_UNREAD_BYTES + 1], usize::MAX).1, Some(BadReply::TooLong));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            stream in "(([0-9]{3}[ -]?[a-z.0-9 ]{0,9}\r?\n|250[ -]x\r\n|[ -~]{0,3}\r\n){0,9})",
            cut in 1usize..9,
        ) {
            prop_assert_eq!(read_all(stream.as_bytes(), cut), read_all(stream.as_bytes(), stream.len()));
        }

        #[test]
        fn any_bytes_are_survived(stream in proptest::collection::vec(any::<u8>(), 0..99), cut in 1usize..9) {
            prop_assert_eq!(read_all(&stream, cut), read_all(&stream, stream.len()));
        }
    }
}
