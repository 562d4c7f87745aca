//! Message content as it goes out after DATA: dots stuffed, every newline CRLF.

const CRLF: &[u8] = b"\r\n";

/// Where in a line the encoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After a CRLF, or at the beginning.
    LineStart,
    /// Within a line.
    Text,
    /// After a CR that is held back until it is known whether a LF follows.
    Cr,
}

/// Encodes content in any pieces, in constant memory, so that it can be read in one way only.
///
/// A dot that begins a line is doubled (RFC 5321 §4.5.2). A bare CR or LF, which servers read in
/// different ways and which mail is smuggled with, goes out as CRLF and is counted; what comes after
/// it then begins a line, for us as for everybody. All else goes out as it is: NUL, other control
/// characters and lines over 1000 bytes are read by everybody in the same way or refused, and a
/// change would break signatures.
#[derive(Debug)]
pub struct Encoder {
    at: At,
    bare_newlines: u64,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { at: At::LineStart, bare_newlines: 0 }
    }
}

impl Encoder {
    /// How many bare CR and bare LF went out as CRLF.
    pub fn bare_newlines(&self) -> u64 {
        self.bare_newlines
    }

    /// Encodes the beginning of `input`: how many bytes were taken, and what goes out for them (it
    /// may be nothing); most often a slice of the input. To be called until all is taken.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, &'a [u8]) {
        let Some(first) = input.first() else {
            return (0, b"");
        };
        match (self.at, first) {
            (At::Cr, b'\n') => self.go(1, At::LineStart, CRLF),
            (At::Cr, _) => self.bare(0),
            (_, b'\n') => self.bare(1),
            (At::LineStart, b'.') => self.go(1, At::Text, b".."),
            _ => self.text(input),
        }
    }

    /// What is still to be written: the end of the last line, if it has none, and the end of the
    /// content. The encoder begins anew.
    pub fn terminator(&mut self) -> &'static [u8] {
        self.bare_newlines += u64::from(self.at == At::Cr);
        match std::mem::replace(&mut self.at, At::LineStart) {
            At::LineStart => b".\r\n",
            At::Text | At::Cr => b"\r\n.\r\n",
        }
    }

    /// Passes on as much of `input` as needs no change. It does not begin with LF, or with a dot
    /// that begins a line.
    fn text<'a>(&mut self, input: &'a [u8]) -> (usize, &'a [u8]) {
        let mut from = 0;
        loop {
            let Some(found) = memchr::memchr2(b'\r', b'\n', &input[from..]) else {
                return self.go(input.len(), At::Text, input);
            };
            let newline = from + found;
            match (input[newline], input.get(newline + 1), input.get(newline + 2)) {
                (b'\n', ..) => return self.go(newline, At::Text, &input[..newline]),
                (_, Some(b'\n'), None | Some(b'.')) => {
                    return self.go(newline + 2, At::LineStart, &input[..newline + 2]);
                }
                // A LF right after a CRLF is bare: seen when the search goes on.
                (_, Some(b'\n'), Some(_)) => from = newline + 2,
                (..) => return self.go(newline + 1, At::Cr, &input[..newline]),
            }
        }
    }

    fn go<'a>(&mut self, taken: usize, at: At, out: &'a [u8]) -> (usize, &'a [u8]) {
        self.at = at;
        (taken, out)
    }

    fn bare<'a>(&mut self, taken: usize) -> (usize, &'a [u8]) {
        self.bare_newlines += 1;
        self.go(taken, At::LineStart, CRLF)
    }
}
