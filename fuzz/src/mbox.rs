//! What stands in an mbox.

use std::ops::Range;

use quell_mail::mbox::{
    Dialect, Ends, Piece, Splitter, Step, detect, is_postmark, unquoted, without_separator,
};

/// The splitter: through any window, and in any parts where parts are possible, the messages are the
/// same, in order, and a postmark stands before each. The first bytes choose window and parts.
pub fn mbox(bytes: &[u8]) {
    let [window, part, mbox @ ..] = bytes else { return };
    let (window, part) = (usize::from(*window) + 1, usize::from(*part) + 1);
    let whole = Piece { bytes: mbox, first: true, last: true };
    for ends in [Ends::Postmarks, Ends::Lengths] {
        let at_once = messages(mbox, 0..mbox.len(), mbox.len().max(1), ends);
        assert_eq!(messages(mbox, 0..mbox.len(), window, ends), at_once);
        check(mbox, &at_once);
        if ends == Ends::Postmarks {
            let starts = (0..mbox.len()).step_by(part);
            let parts = starts.flat_map(|at| messages(mbox, at..(at + part).min(mbox.len()), window, ends));
            assert_eq!(parts.collect::<Vec<_>>(), at_once);
        }
    }
    let _dialect = detect(whole);
    quoting(mbox);
}

/// Messages lie one behind the other, each behind its postmark.
fn check(mbox: &[u8], messages: &[Range<usize>]) {
    let mut at = 0;
    for message in messages {
        assert!(at <= message.start && message.start <= message.end && message.end <= mbox.len());
        let line = mbox[..message.start].strip_suffix(b"\n").unwrap_or(&mbox[..message.start]);
        let begin = line.iter().rposition(|b| *b == b'\n').map_or(0, |lf| lf + 1);
        assert!(begin >= at, "a postmark within a message");
        assert!(begin == 0 || is_postmark(&mbox[begin..message.start]));
        assert!(mbox[begin..].starts_with(b"From "));
        at = message.end;
    }
}

/// The messages whose postmarks begin in `part`, through a window that grows by `step` bytes.
fn messages(mbox: &[u8], part: Range<usize>, step: usize, ends: Ends) -> Vec<Range<usize>> {
    let mut base = part.start.saturating_sub(3);
    let mut end = base.saturating_add(step).min(mbox.len());
    let (mut splitter, mut found) = (Splitter::new(ends, part.start - base), Vec::new());
    while base + splitter.position() < part.end {
        let piece = Piece { bytes: &mbox[base..end], first: base == 0, last: end == mbox.len() };
        match splitter.step(piece) {
            Step::Message { postmark, .. } if base + postmark >= part.end => break,
            Step::Message { bytes, .. } => found.push(base + bytes.start..base + bytes.end),
            Step::More { keep } => {
                assert!(!piece.last && keep <= piece.bytes.len());
                base += keep;
                splitter.dropped(keep);
                end = end.saturating_add(step).min(mbox.len());
            }
            Step::End => break,
        }
    }
    found
}

/// Unquoting takes nothing but `>` before `From `, and a separator is one end of line.
fn quoting(body: &[u8]) {
    let mut lens = Vec::new();
    for dialect in [Dialect::Mboxcl2, Dialect::Mboxo, Dialect::Mboxcl, Dialect::Mboxrd] {
        let plain = unquoted(body, dialect);
        let text = |bytes: &[u8]| bytes.iter().copied().filter(|b| *b != b'>').collect::<Vec<_>>();
        assert_eq!(text(&plain), text(body));
        lens.push(plain.len());
    }
    assert!(lens[0] == body.len() && lens.is_sorted_by(|a, b| a >= b));
    assert!(body.len() - without_separator(body).len() <= 2);
}
