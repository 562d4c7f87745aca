//! Files of many messages, one behind the other (RFC 4155 and what was written before it). Bytes in,
//! places of messages out: nothing here reads a file.
//!
//! Four dialects are about. All begin a message with a *postmark*, a line `From sender date` behind an
//! empty line; they differ in what they do with a line of the body that looks like one.

mod dialect;
mod length;
mod postmark;
mod quoting;
mod split;
#[cfg(test)]
mod tests;

pub use dialect::{Dialect, detect};
pub use postmark::{MAX_POSTMARK_BYTES, Next, is_postmark, next_postmark};
pub use quoting::unquoted;
pub use split::{Splitter, Step, without_separator};

/// A part of an mbox.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// What lies there.
    pub bytes: &'a [u8],
    /// It begins where the mbox begins.
    pub first: bool,
    /// It ends where the mbox ends.
    pub last: bool,
}

/// How the end of a message is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// At the next postmark. Postmarks are found from any place in the file.
    Postmarks,
    /// Where its Content-Length says, if a postmark or the end of the file stands there; else at the
    /// next postmark. Only a walk from the first message on finds the right ones.
    Lengths,
}
