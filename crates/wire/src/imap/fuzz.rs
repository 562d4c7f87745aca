//! Callers of both for fuzz targets and tests: any bytes may go in. They end in an assertion where a
//! promise of this module is broken, and nowhere else.

use super::{Ask, Fault, Guard, GuardFault, Newlines, Opening, Step, Why};

/// What a guard says to a stream in pieces of `cut` bytes.
pub fn guarded(guard: &mut Guard, stream: &[u8], cut: usize) -> Result<(), GuardFault> {
    stream.chunks(cut.max(1)).try_for_each(|piece| guard.pass(piece))
}

/// What a server says, its first two bytes being the limits and the third the size of pieces. What is
/// let by has no response past the limits, as read by whoever has it whole; cuts make no difference.
pub fn fuzz_guard(bytes: &[u8]) {
    let [literal, line, cut, stream @ ..] = bytes else { return };
    let (max_literal, max_line) = (u64::from(*literal), usize::from(*line) * 2);
    let guard = || Guard::new(max_literal, max_line);
    let mut whole = guard();
    let found = whole.pass(stream);
    assert_eq!(guarded(&mut guard(), stream, usize::from(*cut % 8) + 1), found, "cut");
    if found.is_err() {
        assert_eq!(whole.pass(b"* OK\r\n"), found, "over is over");
        return;
    }
    for (line_bytes, literal_bytes) in responses(stream) {
        assert!(line_bytes <= max_line && literal_bytes <= max_literal, "{line_bytes}, {literal_bytes}");
    }
}

/// Bytes of lines and of literals that each response has, the last of which may be incomplete: a
/// plain reading, in which `{N}` at the end of a line is a literal wherever it stands.
fn responses(mut stream: &[u8]) -> Vec<(usize, u64)> {
    let (mut found, mut lines, mut literals) = (Vec::new(), 0, 0u64);
    while let Some(end) = memchr::memmem::find(stream, b"\r\n") {
        let (line, rest) = (&stream[..end], &stream[end + 2..]);
        lines += end + 2;
        match announced(line) {
            Some(bytes) => {
                literals = literals.saturating_add(bytes);
                stream = &rest[usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len())..];
            }
            None => {
                found.push((std::mem::take(&mut lines), std::mem::take(&mut literals)));
                stream = rest;
            }
        }
    }
    found.push((lines + stream.len(), literals));
    found
}

fn announced(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let digits = &inner[memchr::memrchr(b'{', inner)? + 1..];
    crate::params::number(digits)
}

/// What an opening comes to, with what it sends, and how many bytes it leaves to the client. None: more
/// was waited for.
pub type Opened = (Option<Step>, Vec<u8>, usize);

/// Runs an opening on a stream in pieces of `cut` bytes.
pub fn opened(mut opening: Opening, stream: &[u8], cut: usize) -> Opened {
    let (mut used, mut given) = (0, 0);
    loop {
        let (taken, step) = opening.next(&stream[used..given]);
        used += taken;
        assert!(used <= given);
        let sent = opening.output().clone();
        match step {
            Step::NeedInput if given == stream.len() => return (None, sent, 0),
            Step::NeedInput => assert_eq!(used, given, "input left"),
            step => return (Some(step), sent, stream.len() - used),
        }
        given = stream.len().min(given.saturating_add(cut.max(1)));
    }
}

/// What a server says before TLS; the first byte gives what is wanted and the size of pieces. Nothing
/// goes out but STARTTLS; cuts make no difference but to what stands behind the answer to it.
pub fn fuzz_opening(bytes: &[u8]) {
    let [mode, stream @ ..] = bytes else { return };
    let begin = || if mode & 1 == 0 { Opening::starttls() } else { Opening::greeting_only() };
    let whole = opened(begin(), stream, usize::MAX);
    assert!(whole.1.is_empty() || mode & 1 == 0 && whole.1 == b"S0 STARTTLS\r\n", "{:?}", whole.1);
    assert!(whole.0 != Some(Step::StartTls) || !whole.1.is_empty(), "TLS unasked");
    let cut = opened(begin(), stream, usize::from(mode >> 1) % 16 + 1);
    match whole.0 {
        Some(Step::Closed(Why::Fault(Fault::Unasked))) => {}
        Some(Step::Closed(_)) => assert_eq!((&whole.0, &whole.1), (&cut.0, &cut.1), "cut"),
        _ => assert_eq!(whole, cut, "cut"),
    }
}

/// What a server says it offers, and a message that comes in slices; the first byte gives the size of pieces. Cuts make no
/// difference, and every line end comes out as CRLF.
pub fn fuzz_ask(bytes: &[u8]) {
    let [cut, stream @ ..] = bytes else { return };
    let cut = usize::from(cut % 16) + 1;
    let asked = |cut: usize| {
        let (mut ask, mut used, mut given) = (Ask::default(), 0, 0);
        loop {
            let (taken, answer) = ask.next(&stream[used..given]);
            used += taken;
            assert!(used <= given);
            if answer.is_some() || given == stream.len() {
                return (answer, stream.len() - used);
            }
            given = stream.len().min(given.saturating_add(cut));
        }
    };
    assert_eq!(asked(usize::MAX), asked(cut), "cut");
    let whole = |cut: usize| {
        let (mut newlines, mut out) = (Newlines::default(), Vec::new());
        stream.chunks(cut).for_each(|slice| out.extend_from_slice(&newlines.next(slice)));
        out.extend_from_slice(newlines.end());
        out
    };
    let made = whole(usize::MAX);
    assert_eq!(made, whole(cut), "cut");
    let mut rest = made.as_slice();
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        assert!(rest[at..].starts_with(b"\r\n"), "a bare newline");
        rest = &rest[at + 2..];
    }
}
