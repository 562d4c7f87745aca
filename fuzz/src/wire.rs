//! What a client of SMTP may send, either side of POP3, and a server of IMAP.

use memchr::memmem;

use quell_wire::fuzz::{decoded, fuzz_data, fuzz_lines, fuzz_session};
use quell_wire::imap::fuzz::{fuzz_ask, fuzz_guard, fuzz_opening};
use quell_wire::pop3::fuzz::{fuzz_client, fuzz_server};
use quell_wire::sasl::fuzz::fuzz_sasl;

/// Cutting a stream into lines: the same however it is cut, none too long, none with a LF in it.
pub fn lines(bytes: &[u8]) {
    fuzz_lines(bytes);
}

/// A session: the same replies and events however the stream is cut, output in proportion.
pub fn session(bytes: &[u8]) {
    fuzz_session(bytes);
}

/// Responses of a client that signs in: nobody gets in without the caller's word, challenges fit
/// into a line, what is over stays so.
pub fn sasl(bytes: &[u8]) {
    fuzz_sasl(bytes);
}

/// Commands of a POP3 client: the same responses however the stream is cut, bounded output, nothing
/// deleted without QUIT.
pub fn pop3_server(bytes: &[u8]) {
    fuzz_server(bytes);
}

/// Responses of a POP3 server: the same steps however they are cut, no message past its limit,
/// nothing deleted that was not had, and no more said of the deletions than can be known; where TLS must
/// be, nothing but CAPA, STLS and QUIT is said before it.
pub fn pop3_client(bytes: &[u8]) {
    fuzz_client(bytes);
}

/// What an IMAP server says: what the guard lets by has no response past the limits, the same however
/// it is cut.
pub fn imap_guard(bytes: &[u8]) {
    fuzz_guard(bytes);
}

/// What an IMAP server says before TLS: nothing is answered but by STARTTLS, the same however it is cut.
pub fn imap_opening(bytes: &[u8]) {
    fuzz_opening(bytes);
}

/// What an IMAP server says it offers, and a message in slices: the same however they are cut.
pub fn imap_ask(bytes: &[u8]) {
    fuzz_ask(bytes);
}

/// Content: it ends at the first CRLF.CRLF and nowhere else, comes out as a plain reading of
/// RFC 5321 §4.5.2 has it, and what a client stuffs is what comes out.
pub fn content(bytes: &[u8]) {
    fuzz_data(bytes);
    let (found, used, bare) = decoded(bytes, bytes.len(), true);
    assert_eq!(used, end_of_data(bytes), "where the content ends");
    let (wanted, bare_wanted) = match used {
        Some(used) => plainly(&bytes[..used - 3], true),
        None => plainly(bytes, true),
    };
    if used.is_some() {
        assert!(found == wanted && bare == bare_wanted, "{found:?} is not {wanted:?}");
    }
    let (found, used, bare) = decoded(bytes, bytes.len(), false);
    assert_eq!((found, used, bare), (plainly(bytes, false).0, None, plainly(bytes, false).1));
    stuffed_comes_back(bytes);
}

/// Where DATA ends: behind the first CRLF.CRLF, the CRLF of the command itself counted.
fn end_of_data(bytes: &[u8]) -> Option<usize> {
    let after_command = [b"\r\n", bytes].concat();
    memmem::find(&after_command, b"\r\n.\r\n").map(|at| at + 3)
}

/// Bare newlines made CRLF and counted; with `dots`, a dot behind CRLF or at the start is taken off.
fn plainly(bytes: &[u8], dots: bool) -> (Vec<u8>, u64) {
    let (mut out, mut bare, mut at, mut line_start) = (Vec::new(), 0, 0, dots);
    while let Some(byte) = bytes.get(at) {
        let crlf = bytes[at..].starts_with(b"\r\n");
        match byte {
            b'.' if line_start => {}
            b'\r' | b'\n' => {
                out.extend_from_slice(b"\r\n");
                bare += u64::from(!crlf);
            }
            other => out.push(*other),
        }
        line_start = crlf && dots;
        at += if crlf { 2 } else { 1 };
    }
    (out, bare)
}

/// What a client does to text (RFC 5321 §4.5.2), undone.
fn stuffed_comes_back(bytes: &[u8]) {
    let mut text = plainly(bytes, false).0;
    if !text.is_empty() && !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    let mut wire = Vec::new();
    for line in text.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\nMAIL FROM:<next@firm.example>\r\n");
    let end = wire.len() - b"MAIL FROM:<next@firm.example>\r\n".len();
    let cut = usize::from(bytes.first().copied().unwrap_or_default() % 16) + 1;
    assert_eq!(decoded(&wire, cut, true), (text, Some(end), 0));
}

// The oracles themselves, against what was worked out by hand.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_ends_where_the_rfc_says() {
        for (stream, end) in [
            (&b".\r\nQUIT"[..], Some(3)),
            (b"a\r\n.\r\n.\r\n", Some(6)),
            (b"a\n.\r\n", None),
            (b"a\r\n.\n", None),
            (b"a\r.\r\n", None),
            (b"a\r\n..\r\n", None),
            (b"a\r\n.\r\r\n.\r\n", Some(10)),
        ] {
            assert_eq!(end_of_data(stream), end, "{}", stream.escape_ascii());
        }
    }

    #[test]
    fn plain_reading() {
        for (stream, dots, out, bare) in [
            (&b"..a\r\n.b\r\n..\r\n"[..], true, &b".a\r\nb\r\n.\r\n"[..], 0),
            (b"..a\r\n.b", false, b"..a\r\n.b", 0),
            (b"a\n.b\r.c\r\r\n.d", true, b"a\r\n.b\r\n.c\r\n\r\nd", 3),
        ] {
            assert_eq!(plainly(stream, dots), (out.to_vec(), bare), "{}", stream.escape_ascii());
        }
    }
}
