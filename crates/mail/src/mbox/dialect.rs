//! Which dialect an mbox is written in.

use super::postmark::{Next, next_postmark};
use super::quoting::has_quoted;
use super::{Ends, Piece, Splitter, Step};

/// What a writer did with body lines that look like postmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `From ` at the beginning of a line became `>From `, or nothing was done at all.
    Mboxo,
    /// `From ` behind any number of `>` got one more.
    Mboxrd,
    /// As mboxo, and Content-Length says how long each body is.
    Mboxcl,
    /// Only Content-Length tells where a body ends; nothing is quoted.
    Mboxcl2,
}

impl Dialect {
    /// How the end of a message is found. What is quoted needs no Content-Length.
    pub const fn ends(self) -> Ends {
        match self {
            Self::Mboxo | Self::Mboxrd | Self::Mboxcl => Ends::Postmarks,
            Self::Mboxcl2 => Ends::Lengths,
        }
    }
}

/// The dialect of an mbox, from its beginning: some hundred KiB of it are enough, all of it if it is
/// small (`last`). Where nothing tells, the one that changes least is taken: mboxo without and mboxcl2
/// with lengths that are right in nine of ten messages.
pub fn detect(head: Piece<'_>) -> Dialect {
    let mut splitter = Splitter::new(Ends::Lengths, 0);
    let (mut messages, mut right, mut bare) = (0_u64, 0_u64, false);
    while let Step::Message { bytes, by_length, .. } = splitter.step(head) {
        messages += 1;
        right += u64::from(by_length);
        // A line that only the length keeps from being a postmark.
        bare |= by_length && has_postmark(&head.bytes[bytes]);
    }
    // Of a first message that goes on behind what we see, only the length can be taken at its word.
    let promised = messages == 0 && splitter.says_length();
    if promised || (messages > 0 && right.saturating_mul(10) >= messages.saturating_mul(9)) {
        return if !bare && has_quoted(head.bytes, 1) { Dialect::Mboxcl } else { Dialect::Mboxcl2 };
    }
    if has_quoted(head.bytes, 2) { Dialect::Mboxrd } else { Dialect::Mboxo }
}

fn has_postmark(message: &[u8]) -> bool {
    let piece = Piece { bytes: message, first: false, last: true };
    matches!(next_postmark(piece, 0), Next::At(_))
}
