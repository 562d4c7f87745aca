//! What a server may say without filling the client's memory.

/// Most literals of one response. More is a fault.
pub const MAX_LITERALS: usize = 16;

/// Most opening parentheses of one FETCH response; parsers descend by one for each. It leaves room for
/// flags and header fields, not for ENVELOPE and BODYSTRUCTURE, which we never ask for.
pub const MAX_LISTS: usize = 16;

/// Follows what a server says, in lines and literals (RFC 9051 §4.3), so that a client's parser keeps
/// no more of one response than `max_line_bytes` and `max_literal_bytes` together. It is shown every
/// byte before the parser sees it; after a fault the parser must see none of what was shown last, and
/// nothing more. Memory is constant, and results do not depend on how the stream is cut.
///
/// # Why a large literal cannot pass by
///
/// Parsers keep input until a response is complete: until CRLF, or through a literal, `{N}` CRLF and N
/// bytes. If guard and parser agree at every CRLF whether it ends the response or begins a literal, a
/// literal is never longer to the parser than it is to the guard. The parser in question is that of
/// `imap-proto` 0.17 (of `async-imap` 0.12); what it cannot read ends the connection, and its memory.
///
/// - Only CRLF ends a line: a bare CR or LF outside of literals is a fault.
/// - A literal is announced by `{N}` directly before CRLF and nowhere else, so only there can the two
///   differ. A quoted string does not reach over a CRLF. `{N}` at the end of a line is a fault
///   where the parser might take it for text: in a status (`* OK`, tagged, `+`), in a quoted string,
///   and behind anything but a space or a parenthesis. So are `{N+}`, which only clients may say
///   (RFC 7888), and `~{N}` (RFC 3516), which we never ask for and the parser does not know.
/// - In FETCH the parser skips values of attributes that it does not know: up to a `)` if they begin with
///   `(`, otherwise up to a space or `)`, in both cases over line ends and what looks like literals. So
///   when a line of FETCH ends, no parenthesis but the outermost may have been the last one and opened,
///   whether within quotes or not; `{N}` stands by itself behind a space; and without it the line ends
///   with `)`.
/// - In all other responses it reads words and strings alone, none of which reaches over a CRLF.
#[derive(Debug)]
pub struct Guard {
    max_literal_bytes: u64,
    max_line_bytes: usize,
    literal_bytes_left: u64,
    response: Response,
    fault: Option<GuardFault>,
}

/// Why a connection must be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardFault {
    /// The literals of one response are too long together.
    #[error("literals of {bytes} bytes in one response, and {max_bytes} may be")]
    Literal {
        /// How many they would have, with the last one.
        bytes: u64,
        /// How many they may have.
        max_bytes: u64,
    },
    /// Too many literals in one response.
    #[error("more than {MAX_LITERALS} literals in one response")]
    Literals,
    /// A literal whose length is none.
    #[error("a literal whose length is no number")]
    Number,
    /// What looks like a literal where readers may differ.
    #[error("a literal where none can be")]
    Misplaced,
    /// A response whose lines are too long, without its literals.
    #[error("a response of more than {max_bytes} bytes without its literals")]
    Line {
        /// How many they may have together.
        max_bytes: usize,
    },
    /// Too many parentheses in FETCH.
    #[error("more than {MAX_LISTS} lists in one response")]
    Lists,
    /// A line of FETCH that ends where its list does not.
    #[error("a list that does not end with its response")]
    Unfinished,
    /// A NUL outside of literals. Within them they are let by, as servers do with the messages they got.
    #[error("a NUL outside of a literal")]
    Nul,
    /// A CR without LF, or LF without CR, outside of literals.
    #[error("a bare newline outside of a literal")]
    BareNewline,
    /// A line that begins with `*` without a space behind it.
    #[error("a line that is no response")]
    NoResponse,
}

/// The response under way.
#[derive(Debug, Default)]
struct Response {
    kind: Kind,
    word: Word,
    /// Of its lines.
    bytes: usize,
    literals: usize,
    literal_bytes: u64,
    /// Opening parentheses of FETCH.
    lists: usize,
    /// The last parenthesis of FETCH opened a list within the list.
    inner: bool,
    line: Line,
}

/// What kind of response it is, as far as it has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Start,
    /// After `*`.
    Star,
    /// In the word behind it.
    First,
    /// In the word behind a number.
    Second,
    /// Untagged, with data.
    Data,
    /// Untagged, with attributes of a message.
    Fetch,
    /// A status, or a request to go on: text.
    Text,
}

/// The line under way, or the part of it behind a literal.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// Its last byte; 0, which cannot stand there, at the beginning.
    last: u8,
    /// Its last byte that is no space.
    last_solid: u8,
    quoted: bool,
    escaped: bool,
    tail: Tail,
    /// What stands before the brace that the tail begins with.
    before_tail: u8,
}

/// What the line ends with, if it ended here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tail {
    /// No braces.
    #[default]
    Other,
    /// `{`.
    Open,
    /// `{N`; what passes 64 bits is as good as infinite.
    Number(u64),
    /// `{N+`, or `{N-`.
    Sign,
    /// `{` and something else.
    Odd,
    /// `{N}`.
    Literal(u64),
    /// `{N+}`.
    OfClients,
    /// `{`, something else, `}`.
    NoNumber,
}

impl Guard {
    /// Literals of one response may have `max_literal_bytes` together (and 4 GiB at most, since the
    /// parser's numbers have 32 bits), its lines `max_line_bytes`.
    pub fn new(max_literal_bytes: u64, max_line_bytes: usize) -> Self {
        Self {
            max_literal_bytes: max_literal_bytes.min(u32::MAX.into()),
            max_line_bytes,
            literal_bytes_left: 0,
            response: Response::default(),
            fault: None,
        }
    }

    /// Is shown what comes next. After a fault it says the same to everything.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<(), GuardFault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => self.follow(bytes).inspect_err(|fault| self.fault = Some(*fault)),
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), GuardFault> {
        while let Some((byte, rest)) = bytes.split_first() {
            if self.literal_bytes_left == 0 {
                self.byte(*byte)?;
                bytes = rest;
                continue;
            }
            let len = usize::try_from(self.literal_bytes_left).unwrap_or(usize::MAX).min(bytes.len());
            self.literal_bytes_left -= len as u64;
            bytes = &bytes[len..];
        }
        Ok(())
    }

    /// A byte of a line.
    fn byte(&mut self, byte: u8) -> Result<(), GuardFault> {
        self.response.bytes += 1;
        if self.response.bytes > self.max_line_bytes {
            return Err(GuardFault::Line { max_bytes: self.max_line_bytes });
        }
        match (self.response.line.last, byte) {
            (b'\r', b'\n') => return self.line_ends(),
            (b'\r', _) | (_, b'\n') => return Err(GuardFault::BareNewline),
            (_, 0) => return Err(GuardFault::Nul),
            (_, b'\r') => {}
            _ => self.response.text(byte)?,
        }
        self.response.line.last = byte;
        Ok(())
    }

    fn line_ends(&mut self) -> Result<(), GuardFault> {
        let response = &self.response;
        match (response.line.tail, response.kind) {
            (Tail::Literal(bytes), Kind::Data | Kind::Fetch) if response.takes_literal() => {
                return self.literal(bytes);
            }
            (Tail::Literal(_) | Tail::OfClients, _) => return Err(GuardFault::Misplaced),
            (Tail::NoNumber, Kind::Data | Kind::Fetch) => return Err(GuardFault::Number),
            (_, Kind::Star) => return Err(GuardFault::NoResponse),
            (_, Kind::Fetch) if response.line.last_solid != b')' => return Err(GuardFault::Unfinished),
            _ => {}
        }
        self.response = Response::default();
        Ok(())
    }

    fn literal(&mut self, bytes: u64) -> Result<(), GuardFault> {
        let response = &mut self.response;
        response.literals += 1;
        response.literal_bytes = response.literal_bytes.saturating_add(bytes);
        if response.literal_bytes > self.max_literal_bytes {
            let (bytes, max_bytes) = (response.literal_bytes, self.max_literal_bytes);
            return Err(GuardFault::Literal { bytes, max_bytes });
        }
        if response.literals > MAX_LITERALS {
            return Err(GuardFault::Literals);
        }
        response.line = Line::default();
        self.literal_bytes_left = bytes;
        Ok(())
    }
}

impl Response {
    fn text(&mut self, byte: u8) -> Result<(), GuardFault> {
        self.kind = match (self.kind, byte) {
            (Kind::Start, b'*') => Kind::Star,
            (Kind::Start, _) => Kind::Text,
            (Kind::Star, b' ') => Kind::First,
            (Kind::Star, _) => return Err(GuardFault::NoResponse),
            (Kind::First | Kind::Second, b' ') => self.after_word(),
            (Kind::First | Kind::Second, _) => {
                self.word.push(byte);
                self.kind
            }
            (Kind::Fetch, _) => {
                self.list(byte)?;
                Kind::Fetch
            }
            (Kind::Data | Kind::Text, _) => self.kind,
        };
        self.line.text(byte);
        Ok(())
    }

    fn after_word(&mut self) -> Kind {
        let word = std::mem::take(&mut self.word);
        match self.kind {
            Kind::First if word.is_number() => Kind::Second,
            Kind::First if ["OK", "NO", "BAD", "BYE", "PREAUTH"].iter().any(|status| word.is(status)) => {
                Kind::Text
            }
            Kind::Second if word.is("FETCH") => Kind::Fetch,
            _ => Kind::Data,
        }
    }

    /// A byte of FETCH. Parentheses count within quotes, too: which quotes are quotes is for the parser
    /// to say.
    fn list(&mut self, byte: u8) -> Result<(), GuardFault> {
        match byte {
            b'(' => {
                self.lists += 1;
                self.inner = self.lists > 1;
            }
            b')' => self.inner = false,
            _ => {}
        }
        if self.lists > MAX_LISTS { Err(GuardFault::Lists) } else { Ok(()) }
    }

    /// Whether `{N}` at the end of this line is a literal to everybody.
    fn takes_literal(&self) -> bool {
        let alone = match self.kind {
            Kind::Fetch => self.line.before_tail == b' ' && self.lists > 0 && !self.inner,
            _ => matches!(self.line.before_tail, b' ' | b'('),
        };
        alone && !self.line.quoted
    }
}

impl Line {
    fn text(&mut self, byte: u8) {
        if byte == b'{' {
            self.before_tail = self.last;
        }
        self.tail = self.tail.and(byte);
        let escaped = std::mem::take(&mut self.escaped);
        match byte {
            b'"' if !escaped => self.quoted = !self.quoted,
            b'\\' if self.quoted && !escaped => self.escaped = true,
            _ => {}
        }
        if byte != b' ' {
            self.last_solid = byte;
        }
    }
}

impl Tail {
    fn and(self, byte: u8) -> Self {
        match (self, byte) {
            (_, b'{') => Self::Open,
            (Self::Open, b'0'..=b'9') => Self::Number(u64::from(byte - b'0')),
            (Self::Number(number), b'0'..=b'9') => {
                Self::Number(number.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
            }
            (Self::Number(number), b'}') => Self::Literal(number),
            (Self::Number(_), b'+' | b'-') => Self::Sign,
            (Self::Sign, b'}') => Self::OfClients,
            (Self::Open | Self::Odd, b'}') => Self::NoNumber,
            (Self::Open | Self::Number(_) | Self::Sign | Self::Odd, _) => Self::Odd,
            (Self::Other | Self::Literal(_) | Self::OfClients | Self::NoNumber, _) => Self::Other,
        }
    }
}

/// The beginning of a word, and what it is made of.
#[derive(Debug, Default)]
struct Word {
    bytes: [u8; 8],
    len: usize,
    odd: bool,
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
        }
        self.len += 1;
        self.odd |= !byte.is_ascii_digit();
    }

    fn is(&self, name: &str) -> bool {
        self.bytes.get(..self.len).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn is_number(&self) -> bool {
        self.len > 0 && !self.odd
    }
}
