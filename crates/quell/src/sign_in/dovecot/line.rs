//! The lines of Dovecot's authentication protocol, version 1.2, as a client reads and writes them.
//! No socket, no clock.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest line, its end left out: what Dovecot itself takes.
pub const MAX_LINE_BYTES: usize = 8192;
/// The version that must be the same on both sides.
pub const MAJOR: u32 = 1;

/// Why the connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("Dovecot sent a line of more than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// A word that we know without what must stand behind it.
    #[error("Dovecot sent a line that cannot be read")]
    Line,
}

/// What came in pieces, cut into lines.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// No line end before this place.
    looked: usize,
}

impl Lines {
    /// Some more bytes. Take all lines out before the next: it then holds a line at most, and these.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line without its end.
    ///
    /// # Errors
    /// [`Malformed::TooLong`].
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let end = self.bytes[self.looked..].iter().position(|byte| *byte == b'\n').map(|at| at + self.looked);
        if end.unwrap_or(self.bytes.len()) > MAX_LINE_BYTES {
            return Err(Malformed::TooLong);
        }
        self.looked = if end.is_some() { 0 } else { self.bytes.len() };
        Ok(end.map(|end| {
            let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
            line.pop();
            line
        }))
    }

    /// Whether nothing waits to be read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The protocol's version.
    Version(u32),
    /// A mechanism that is offered, in upper case.
    Mechanism(String),
    /// The greeting is over.
    Done,
    /// Signed in.
    Ok {
        /// Which request.
        id: u32,
        /// The user's name as Dovecot has it.
        user: Option<String>,
    },
    /// The exchange goes on.
    Continue {
        /// Which request.
        id: u32,
        /// The server's message.
        data: Vec<u8>,
    },
    /// Not signed in.
    Fail {
        /// Which request.
        id: u32,
        /// For trouble of Dovecot's own, not for what was said.
        temporary: bool,
    },
    /// Anything else, which a client must pass over.
    Other,
}

/// Reads a line.
///
/// # Errors
/// [`Malformed::Line`].
pub fn parse(line: &[u8]) -> Result<Line, Malformed> {
    let mut words = line.split(|byte| *byte == b'\t');
    let command = words.next().unwrap_or_default();
    let number = |word: Option<&[u8]>| {
        let word = word.and_then(|word| std::str::from_utf8(word).ok()).ok_or(Malformed::Line)?;
        word.parse::<u32>().map_err(|_| Malformed::Line)
    };
    Ok(match command {
        b"VERSION" => Line::Version(number(words.next())?),
        b"MECH" => {
            let name = words.next().and_then(|name| std::str::from_utf8(name).ok());
            Line::Mechanism(name.ok_or(Malformed::Line)?.to_ascii_uppercase())
        }
        b"DONE" => Line::Done,
        b"OK" => {
            let id = number(words.next())?;
            let user = words.find_map(|word| word.strip_prefix(b"user=")).map(unescaped);
            let user = user.map(String::from_utf8).transpose().map_err(|_| Malformed::Line)?;
            Line::Ok { id, user }
        }
        b"CONT" => {
            let id = number(words.next())?;
            let data = STANDARD.decode(words.next().unwrap_or_default()).map_err(|_| Malformed::Line)?;
            Line::Continue { id, data }
        }
        b"FAIL" => {
            let id = number(words.next())?;
            Line::Fail { id, temporary: words.any(|word| word == b"temp" || word == b"code=temp_fail") }
        }
        _ => Line::Other,
    })
}

/// Undoes the escapes of a value: \001 and a letter stand for what may not.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            1 => match bytes.next() {
                Some(b'0') => 0,
                Some(b't') => b'\t',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b'1') | None => 1,
                Some(other) => other,
            },
            byte => byte,
        });
    }
    plain
}

/// What a client says first.
pub fn greeting(pid: u32) -> String {
    format!("VERSION\t{MAJOR}\t2\nCPID\t{pid}\n")
}

/// A request. `mechanism` has nothing in it but letters, digits, `-` and `_`; `initial`: the client's
/// first message, if it came with the command. It is only made where TLS protects the session.
pub fn auth(id: u32, mechanism: &str, addresses: Option<(&str, &str)>, initial: Option<&[u8]>) -> String {
    let mut line = format!("AUTH\t{id}\t{mechanism}\tservice=smtp\tnologin\tsecured");
    if let Some((remote, local)) = addresses {
        line.push_str(&format!("\trip={remote}\tlip={local}"));
    }
    if let Some(initial) = initial {
        // It must be the last (auth-protocol, "resp").
        line.push_str(&format!("\tresp={}", STANDARD.encode(initial)));
    }
    line + "\n"
}

/// The client's next message.
pub fn more(id: u32, data: &[u8]) -> String {
    format!("CONT\t{id}\t{}\n", STANDARD.encode(data))
}

/// The client has had enough.
pub fn cancel(id: u32) -> String {
    format!("CANCEL\t{id}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let user = |name: &str| Some(name.to_owned());
        let cases: [(&[u8], Line); 12] = [
            (b"VERSION\t1\t2", Line::Version(1)),
            (b"MECH\tplain\tplaintext", Line::Mechanism("PLAIN".to_owned())),
            (b"DONE", Line::Done),
            (b"OK\t7\tuser=jane@firm.example\tfoo", Line::Ok { id: 7, user: user("jane@firm.example") }),
            (b"OK\t7\toriginal_user=x", Line::Ok { id: 7, user: None }),
            (b"OK\t1\tuser=a\x01tb\x011\x01n", Line::Ok { id: 1, user: user("a\tb\x01\n") }),
            (b"CONT\t3\tZ28=", Line::Continue { id: 3, data: b"go".to_vec() }),
            (b"CONT\t3\t", Line::Continue { id: 3, data: vec![] }),
            (b"FAIL\t4\tuser=jane\ttemp", Line::Fail { id: 4, temporary: true }),
            (b"FAIL\t4\tuser=temp\tuser_disabled", Line::Fail { id: 4, temporary: false }),
            (b"SPID\t123", Line::Other),
            (b"", Line::Other),
        ];
        for (line, wanted) in cases {
            assert_eq!(parse(line), Ok(wanted), "{}", String::from_utf8_lossy(line));
        }
        let bad = ["OK", "OK\tx", "FAIL\t-1", "CONT\t1\t*", "VERSION", "OK\t4294967296"].map(str::as_bytes);
        for bad in bad.into_iter().chain([&b"OK\t1\tuser=\xff"[..]]) {
            assert_eq!(parse(bad), Err(Malformed::Line), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn lines_are_cut_and_bounded() {
        let mut lines = Lines::default();
        lines.push(b"one\ntw");
        assert_eq!(lines.next_line(), Ok(Some(b"one".to_vec())));
        assert_eq!(lines.next_line(), Ok(None));
        lines.push(b"o\n\n");
        assert_eq!(lines.next_line(), Ok(Some(b"two".to_vec())));
        assert_eq!(lines.next_line(), Ok(Some(vec![])));
        assert_eq!(lines.next_line(), Ok(None));
        lines.push(&[b'a'; MAX_LINE_BYTES]);
        assert_eq!(lines.next_line(), Ok(None));
        lines.push(b"\n");
        assert_eq!(lines.next_line().map(|line| line.map(|line| line.len())), Ok(Some(MAX_LINE_BYTES)));
        lines.push(&[b'a'; MAX_LINE_BYTES + 1]);
        assert_eq!(lines.next_line(), Err(Malformed::TooLong));
    }

    #[test]
    fn requests_are_written() {
        assert_eq!(greeting(5), "VERSION\t1\t2\nCPID\t5\n");
        let asked = auth(2, "PLAIN", Some(("192.0.2.1", "::1")), Some(b"\0jane\0pw"));
        let ends = "\tsecured\trip=192.0.2.1\tlip=::1\tresp=AGphbmUAcHc=\n";
        assert_eq!(asked, format!("AUTH\t2\tPLAIN\tservice=smtp\tnologin{ends}"));
        assert!(auth(3, "SCRAM-SHA-256", None, None).ends_with("\tsecured\n"));
        assert_eq!((more(3, b""), cancel(9)), ("CONT\t3\t\n".to_owned(), "CANCEL\t9\n".to_owned()));
    }
}
