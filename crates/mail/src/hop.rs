//! One hop: a `Received` field's value as real servers write it (RFC 5321 §4.4, and the many that
//! never read it), taken apart on the hot path: no copy, no allocation, linear time, no failure.
//!
//! A value is cut into words, comments and semicolons (`lexer`); words belong to the clause whose
//! name stands before them (`clauses`); a comment means what its first word or its place says
//! (`comment`, `sender`, `software`, `tls`). What means nothing is counted, not guessed at.

use std::fmt;
use std::net::IpAddr;

mod clauses;
mod comment;
mod hash;
mod ip;
mod lexer;
mod protocol;
mod sender;
mod software;
mod summary;
mod tls;
mod when;

pub use hash::stamp_hash;
pub use ip::is_public;
pub use protocol::Protocol;
pub use software::Software;
pub use tls::TlsVersion;

/// A piece of the field as it stands there; it may hold bytes that are no UTF-8, and, where it is
/// several words, folds. It displays with what is no UTF-8 replaced and white space made one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Word<'a>(pub &'a [u8]);

impl Word<'_> {
    /// As it displays, in lower case (ASCII).
    pub fn lower(&self) -> String {
        // Nearly every one is one word.
        let is_one = !self.0.iter().any(|b| lexer::is_space(*b));
        let mut text = if is_one { String::from_utf8_lossy(self.0).into_owned() } else { self.to_string() };
        text.make_ascii_lowercase();
        text
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is `text` in any case (ASCII).
    pub fn is(&self, text: &str) -> bool {
        self.0.eq_ignore_ascii_case(text.as_bytes())
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.split(|b| lexer::is_space(*b)).filter(|word| !word.is_empty());
        for (n, word) in words.enumerate() {
            f.write_str(if n > 0 { " " } else { "" })?;
            f.write_str(&String::from_utf8_lossy(word))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// What kind of step a stamp tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub enum HopKind {
    /// From one server, or client, to another; also where too little is told to say more.
    #[default]
    Transfer,
    /// `from mail pickup service by H with Microsoft SMTPSVC`: a file put into a folder.
    Pickup,
    /// Submitted on the machine itself: `with local`, `(from uid@host)`, `invoked by uid`,
    /// `(Postfix, from userid N)`, `with mapi`; or a `by` without any word of another machine.
    Local,
    /// Fetched from a mailbox: fetchmail, getmail, connectors for POP3 and IMAP.
    Collected,
    /// Sent on by a list server: `via listexpand`, `with ECARTIS`, `(majordomo@…)`.
    Expanded,
    /// Written or handed in over the web.
    Http,
}

/// What one stamp says. All words are slices of the value; absent is what was not told, or not
/// understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hop<'a> {
    /// What kind of step it was.
    pub kind: HopKind,
    /// The word after `from`: what the sender called itself, or its name, as that server writes
    /// it. None for a pickup folder, which is no host.
    pub from: Option<Word<'a>>,
    /// What the sender called itself in HELO, EHLO or LHLO: where the stamp tells it apart, or the
    /// `from` word where a comment with the address follows it.
    pub helo: Option<Word<'a>>,
    /// The name that the receiver found for the address, without a dot at its end. `unknown` is
    /// none.
    pub rdns: Option<Word<'a>>,
    /// The sender's address as the receiver saw it; IPv4 mapped into IPv6 is IPv4.
    pub ip: Option<IpAddr>,
    /// The sender's port.
    pub port: Option<u16>,
    /// The user on the sender's machine (RFC 1413), `user@host` as it stands in the comment.
    pub ident: Option<Word<'a>>,
    /// Who the sender proved to be, where a name is told.
    pub authenticated: Option<Word<'a>>,
    /// The receiver.
    pub by: Option<Word<'a>>,
    /// The receiver's address.
    pub by_ip: Option<IpAddr>,
    /// The words after `via`.
    pub via: Option<Word<'a>>,
    /// The words after `with`, as they are written.
    pub with: Option<Word<'a>>,
    /// What `with` means; where there is none, what `via` means, if it is a protocol.
    pub protocol: Protocol,
    /// Version of the encryption.
    pub tls_version: Option<TlsVersion>,
    /// Cipher of the encryption.
    pub tls_cipher: Option<Word<'a>>,
    /// The receiver's id for the message, without `<>`. Exchange writes its own version here: see
    /// [`Hop::queue_id`].
    pub id: Option<Word<'a>>,
    /// The recipient, without `<>`; the first, if there are several.
    pub for_: Option<Word<'a>>,
    /// Whether `for` names more than one.
    pub for_many: bool,
    /// When it was received, since 1970.
    pub date_ms: Option<i64>,
    /// The receiver's software.
    pub software: Option<Software<'a>>,
    /// Bytes, white space aside, that were not understood.
    pub rest: usize,
}

/// Takes a stamp apart. `value` is what stands behind `Received:`, folds and line end included.
/// Never fails, allocates nothing, takes time linear in its length.
pub fn parse(value: &[u8]) -> Hop<'_> {
    clauses::read(value)
}

/// The server that wrote the stamp, and nothing else: what [`parse`] finds as `by`, empty where there is
/// none. Several times faster, for what is asked of every copy of a storm.
pub fn by_of(value: &[u8]) -> Word<'_> {
    clauses::first(value, |hop| hop.by).unwrap_or_default()
}

/// The recipient, and nothing else: what [`parse`] finds as `for_`.
pub fn for_of(value: &[u8]) -> Option<Word<'_>> {
    clauses::first(value, |hop| hop.for_)
}
