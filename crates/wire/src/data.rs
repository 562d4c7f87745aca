//! Message content as it comes over the wire: dots undone, the end found, newlines made CRLF.

/// What [`Decoder::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The bytes were taken and say nothing yet, or the end of a line of an earlier piece.
    More,
    /// Content. Never empty; most often a slice of the input.
    Content(&'a [u8]),
    /// CRLF.CRLF was read; what follows is a command. Only for DATA.
    End,
}

/// Where in a line the decoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After a CRLF, or at the beginning: the only place where a dot means something.
    LineStart,
    /// After the dot at a line's start, which is held back.
    Dot,
    /// After that dot and a CR, both held back.
    DotCr,
    /// Within a line. A line that follows a bare newline is "within" too.
    Text,
    /// After a CR that was passed on.
    Cr,
}

/// Decodes content in any pieces, in constant memory: it holds back at most a dot and a CR.
///
/// Only CRLF ends a line, so only CRLF.CRLF ends the content and only a dot after CRLF is undone
/// (RFC 5321 §2.3.8, §4.1.1.4, §4.5.2). A bare CR or LF comes out as CRLF and is counted; whoever
/// refuses such content looks at the count. A dot after one is left as it is: whether the client
/// took it for a line's start cannot be known, and content is never cut.
#[derive(Debug)]
pub struct Decoder {
    at: At,
    dots: bool,
    bare_newlines: u64,
}

impl Decoder {
    /// For content sent with DATA: dots and an end (RFC 5321 §4.5.2).
    pub fn for_data() -> Self {
        Self { at: At::LineStart, dots: true, bare_newlines: 0 }
    }

    /// For content sent with BDAT: no dots, and the caller knows the end (RFC 3030 §2). A CR at the
    /// end of one chunk and a LF at the start of the next are one CRLF.
    pub fn for_chunks() -> Self {
        Self { at: At::Text, dots: false, bare_newlines: 0 }
    }

    /// How many bare CR and bare LF there were.
    pub fn bare_newlines(&self) -> u64 {
        self.bare_newlines
    }

    /// Decodes the beginning of `input`: how many bytes were taken, and what they were. The
    /// content, its end and the count do not depend on how the stream was cut into inputs.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, Piece<'a>) {
        let Some(first) = input.first() else {
            return (0, Piece::More);
        };
        match (self.at, first) {
            (At::LineStart, b'.') if self.dots => self.go(1, At::Dot, Piece::More),
            (At::Dot, b'\r') => self.go(1, At::DotCr, Piece::More),
            (At::DotCr, b'\n') => self.go(1, At::LineStart, Piece::End),
            // CRLF . CR and something else: a dot to undo, and a bare CR after it.
            (At::DotCr, _) => self.bare(0, b"\r\n"),
            (At::Cr, b'\n') => self.go(1, At::LineStart, Piece::Content(&input[..1])),
            (At::Cr, _) => self.bare(0, b"\n"),
            (At::Text | At::LineStart | At::Dot, b'\n') => self.bare(1, b"\r\n"),
            (At::Text | At::LineStart | At::Dot, _) => self.text(input),
        }
    }

    /// The end of the last chunk: content that is still owed, for a CR that no LF follows any more.
    pub fn finish(&mut self) -> Option<&'static [u8]> {
        if self.at != At::Cr {
            return None;
        }
        self.at = At::Text;
        self.bare_newlines += 1;
        Some(b"\n")
    }

    /// Passes on as much of `input` as needs no change: up to a bare newline or a dot that begins a
    /// line. `input` does not begin with LF.
    fn text<'a>(&mut self, input: &'a [u8]) -> (usize, Piece<'a>) {
        let mut from = 0;
        let (taken, at) = loop {
            let Some(found) = memchr::memchr2(b'\r', b'\n', &input[from..]) else {
                break (input.len(), At::Text);
            };
            let newline = from + found;
            let after = (input[newline], input.get(newline + 1), input.get(newline + 2));
            match after {
                (b'\n', ..) => break (newline, At::Text),
                (_, None, _) => break (newline + 1, At::Cr),
                (_, Some(b'\n'), None | Some(b'.')) => break (newline + 2, At::LineStart),
                (_, Some(b'\n'), Some(_)) => from = newline + 2,
                (_, Some(_), _) => break (newline + 1, At::Cr),
            }
        };
        self.go(taken, at, Piece::Content(&input[..taken]))
    }

    fn go<'a>(&mut self, taken: usize, at: At, piece: Piece<'a>) -> (usize, Piece<'a>) {
        self.at = at;
        (taken, piece)
    }

    fn bare<'a>(&mut self, taken: usize, instead: &'static [u8]) -> (usize, Piece<'a>) {
        self.bare_newlines += 1;
        self.go(taken, At::Text, Piece::Content(instead))
    }
}
