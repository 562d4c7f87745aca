//! DKIM *relaxed* canonicalisation (RFC 6376 §3.4.2, §3.4.4), streamed.
//!
//! Both work on slices of the input: what needs no change is handed on as it is, so ordinary text
//! costs one look per byte and no copy. LF without CR counts as a line end, so that a message
//! stored with Unix line ends canonicalises as it came over SMTP; a CR without LF is text.

use memchr::memchr3;

/// Line ends to write in one go; a message of nothing but empty lines must not cost a call each.
const LINE_ENDS: &[u8; 64] = &crlf_block();

const fn crlf_block() -> [u8; 64] {
    let mut block = [b'\r'; 64];
    let mut i = 1;
    while i < 64 {
        block[i] = b'\n';
        i += 2;
    }
    block
}

/// Hands the relaxed form of a field's value to `out`, in slices: unfolded, runs of white space
/// made one space, none at either end, no line end.
pub fn relaxed_value(value: &[u8], mut out: impl FnMut(&[u8])) {
    let mut rest = skip_space(value);
    let mut first = true;
    while !rest.is_empty() {
        let end = memchr3(b' ', b'\t', b'\n', rest).unwrap_or(rest.len());
        // A CR directly before the LF belongs to the line end.
        let is_lf = rest.get(end) == Some(&b'\n');
        let word = if is_lf { rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]) } else { &rest[..end] };
        if !first {
            out(b" ");
        }
        out(word);
        first = false;
        rest = skip_space(&rest[end..]);
    }
}

/// The relaxed form of a field's value as one piece.
pub fn relaxed_value_to_vec(value: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(value.len());
    relaxed_value(value, |slice| whole.extend_from_slice(slice));
    whole
}

/// `bytes` without the white space and line ends at its start.
fn skip_space(mut bytes: &[u8]) -> &[u8] {
    loop {
        bytes = match bytes {
            [b' ' | b'\t' | b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => rest,
            _ => return bytes,
        };
    }
}

/// The relaxed body, streamed: chunks in any split give the same bytes. Empty lines at the end
/// are dropped, and lines of white space only *are* empty once relaxed.
#[derive(Debug, Clone, Default)]
pub struct RelaxedBody {
    /// White space seen on this line and not handed on: text must follow it first.
    space: bool,
    /// A CR seen: line end or text, as the next byte says.
    cr: bool,
    /// Line ends seen and not handed on: they may be the end of the body.
    line_ends: u64,
    /// Text was seen: the body is not empty.
    text: bool,
}

impl RelaxedBody {
    /// At the start of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the body; hands what is certain to `out`.
    pub fn push(&mut self, mut chunk: &[u8], out: &mut impl FnMut(&[u8])) {
        while !chunk.is_empty() {
            let clean = if self.space || self.cr { 0 } else { unchanged_len(chunk) };
            self.run(&chunk[..clean], out);
            chunk = &chunk[clean..];
            // What stopped the run, and what hangs on it.
            while let Some((byte, rest)) = chunk.split_first() {
                if self.space && !self.cr && !byte.is_ascii_whitespace() {
                    // This text is the beginning of the next run.
                    self.text(b"", out);
                    break;
                }
                self.byte(*byte, out);
                chunk = rest;
                if !self.space && !self.cr {
                    break;
                }
            }
        }
    }

    /// The body has ended. A last line without line end gets one (RFC 6376 §3.4.4).
    pub fn finish(mut self, out: &mut impl FnMut(&[u8])) {
        if std::mem::take(&mut self.cr) {
            self.text(b"\r", out);
        }
        if self.text {
            out(b"\r\n");
        }
    }

    /// A run that relaxation leaves as it is, save for line ends that may be the last.
    fn run(&mut self, run: &[u8], out: &mut impl FnMut(&[u8])) {
        let mut text = run;
        while let Some(shorter) = text.strip_suffix(b"\r\n") {
            text = shorter;
        }
        if !text.is_empty() {
            self.text(text, out);
        }
        self.line_ends += (run.len() - text.len()) as u64 / 2;
    }

    /// Text: what was held back before it is part of the body now.
    fn text(&mut self, text: &[u8], out: &mut impl FnMut(&[u8])) {
        while self.line_ends > 0 {
            let n = self.line_ends.min(LINE_ENDS.len() as u64 / 2);
            out(&LINE_ENDS[..n as usize * 2]);
            self.line_ends -= n;
        }
        if std::mem::take(&mut self.space) {
            out(b" ");
        }
        if !text.is_empty() {
            out(text);
        }
        self.text = true;
    }

    fn byte(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) {
        if byte != b'\n' && std::mem::take(&mut self.cr) {
            self.text(b"\r", out);
        }
        match byte {
            b' ' | b'\t' => self.space = true,
            b'\r' => self.cr = true,
            b'\n' => {
                (self.space, self.cr) = (false, false);
                self.line_ends += 1;
            }
            text => self.text(&[text], out),
        }
    }
}

/// Length of the longest run at the start of `bytes` that relaxation leaves alone whatever comes
/// after it: no tab, no space before white space or a line end, no LF without CR, no CR at its end.
fn unchanged_len(bytes: &[u8]) -> usize {
    if bytes.first() == Some(&b'\n') {
        return 0;
    }
    // Whole blocks without a branch per byte: the compiler makes vector code of it. The small
    // blocks find the place within a large one.
    let mut len = unchanged_blocks::<64>(bytes, 0);
    len = unchanged_blocks::<8>(bytes, len);
    let last = bytes.len().saturating_sub(1);
    while len < last && !changes(bytes[len], bytes[len + 1]) {
        len += 1;
    }
    match bytes.get(len) {
        // Text, and a LF after it or nothing yet: it is the run's last byte.
        Some(text) if !text.is_ascii_whitespace() => len + 1,
        _ if len > 0 && bytes[len - 1] == b'\r' => len - 1,
        _ => len,
    }
}

/// Goes on from `len` by blocks that relaxation leaves alone.
fn unchanged_blocks<const BLOCK: usize>(bytes: &[u8], mut len: usize) -> usize {
    while len + BLOCK < bytes.len() && !any_changes(&bytes[len..len + BLOCK], &bytes[len + 1..=len + BLOCK]) {
        len += BLOCK;
    }
    len
}

fn any_changes(bytes: &[u8], nexts: &[u8]) -> bool {
    bytes.iter().zip(nexts).fold(false, |any, (a, b)| any | changes(*a, *b))
}

/// Whether relaxation may change a pair of neighbours.
fn changes(byte: u8, next: u8) -> bool {
    (byte == b'\t') | ((byte == b' ') & (next <= b' ')) | ((byte != b'\r') & (next == b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(chunks: &[&[u8]]) -> Vec<u8> {
        let mut whole = Vec::new();
        let mut out = |slice: &[u8]| whole.extend_from_slice(slice);
        let mut relaxed = RelaxedBody::new();
        chunks.iter().for_each(|chunk| relaxed.push(chunk, &mut out));
        relaxed.finish(&mut out);
        whole
    }

    /// The same rules, written the slow and plain way, on the whole body.
    fn plain(body: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = vec![];
        for line in body.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").map_or(line, |l| l.strip_suffix(b"\r").unwrap_or(l));
            let mut relaxed = vec![];
            for byte in line {
                let space = matches!(byte, b' ' | b'\t');
                if !space {
                    relaxed.push(*byte);
                } else if relaxed.last() != Some(&b' ') {
                    relaxed.push(b' ');
                }
            }
            if relaxed.last() == Some(&b' ') {
                relaxed.pop();
            }
            lines.push(relaxed);
        }
        while lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        lines.iter().flat_map(|l| [&l[..], b"\r\n"].concat()).collect()
    }

    #[test]
    fn bodies() {
        let cases: [(&[u8], &[u8]); 12] = [
            // RFC 6376 §3.4.5.
            (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),
            // Lines of white space only at the end are empty lines.
            (b"Hello\r\n  \r\n", b"Hello\r\n"),
            (b"Hello\r\n \t\r\n\r\n  \r\n", b"Hello\r\n"),
            (b"Hello\r\n  ", b"Hello\r\n"),
            (b"Hello\r\n  \r\nx", b"Hello\r\n\r\nx\r\n"),
            (b"", b""),
            (b"\r\n\r\n", b""),
            (b"  \r\n\t", b""),
            (b"no end", b"no end\r\n"),
            (b"unix\n\nlines\n\n", b"unix\r\n\r\nlines\r\n"),
            (b"a\rb\r\r\n", b"a\rb\r\r\n"),
            (b"ends in cr\r", b"ends in cr\r\r\n"),
        ];
        for (given, wanted) in cases {
            assert_eq!(body(&[given]), wanted, "{:?}", String::from_utf8_lossy(given));
            assert_eq!(plain(given), wanted, "the plain way: {:?}", String::from_utf8_lossy(given));
        }
    }

    #[test]
    fn values() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b" X\r\n", b"X"),
            (b" Y\t\r\n\tZ  \r\n", b"Y Z"),
            (b"", b""),
            (b" \r\n \r\n", b""),
            (b"a\n b\r c\r\r\n", b"a b\r c\r"),
            ("\u{e4}  \u{f6}\r\n".as_bytes(), "\u{e4} \u{f6}".as_bytes()),
        ];
        for (given, wanted) in cases {
            assert_eq!(relaxed_value_to_vec(given), wanted);
        }
    }

    fn mail_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b" ".to_vec()),
            Just(b"\t".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"word".to_vec()),
            any::<u8>().prop_map(|b| vec![b]),
            Just(b"A line of ordinary text, which is a little longer than one block is.\r\n".to_vec()),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_what_the_plain_way_gives(bytes in mail_bytes(), cuts: Vec<prop::sample::Index>) {
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let whole = body(&chunks);
            prop_assert_eq!(&whole, &plain(&bytes));
            prop_assert_eq!(&body(&[&whole]), &whole);
        }

        #[test]
        fn byte_by_byte(bytes in mail_bytes()) {
            let chunks: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(body(&chunks), body(&[&bytes]));
        }

        #[test]
        fn values_are_settled_at_once(bytes in mail_bytes()) {
            let once = relaxed_value_to_vec(&bytes);
            prop_assert_eq!(&relaxed_value_to_vec(&once), &once);
            prop_assert!(!once.contains(&b'\n') && !once.contains(&b'\t'));
            prop_assert!(!once.starts_with(b" ") && !once.ends_with(b" "));
        }
    }
}
