//! What the dialects do to body lines that look like postmarks, taken back.

use std::borrow::Cow;

use memchr::memmem;

use super::Dialect;
use super::postmark::FROM;

/// The body as it was before it came into the file: `>From ` at the beginning of a line without its
/// `>`. In an mboxrd one `>` of any number goes; in the older dialects only a single one was ever
/// added. What had a `>` in the first place cannot be told there.
pub fn unquoted(body: &[u8], dialect: Dialect) -> Cow<'_, [u8]> {
    if dialect == Dialect::Mboxcl2 {
        return Cow::Borrowed(body);
    }
    let (mut plain, mut kept) = (Vec::new(), 0);
    for at in memmem::find_iter(body, b">From ") {
        let line = body[..at].iter().rposition(|b| *b != b'>').map_or(0, |last| last + 1);
        let begins = line == 0 || body[line - 1] == b'\n';
        if begins && (line == at || dialect == Dialect::Mboxrd) {
            plain.extend_from_slice(&body[kept..line]);
            kept = line + 1;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(body);
    }
    plain.extend_from_slice(&body[kept..]);
    Cow::Owned(plain)
}

/// Whether a line is `From ` behind at least `least` of `>`.
pub(super) fn has_quoted(text: &[u8], least: usize) -> bool {
    memmem::find_iter(text, FROM).any(|at| {
        let quotes = text[..at].iter().rev().take_while(|b| **b == b'>').count();
        quotes >= least && (quotes == at || text[at - quotes - 1] == b'\n')
    })
}
