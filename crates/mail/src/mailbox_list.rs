//! Who has written a message, read strictly: the mailbox-list of From and Sender (RFC 5322 §3.4).
//!
//! [`crate::address::in_field`] makes the best of whatever stands there, and passes over what it cannot
//! read. Where an address decides who may write, nothing may be passed over: another reader may see the
//! very words that this one has not. So here every byte belongs to a name, a comment or an address, or
//! the whole is refused. Of the obsolete forms (§4.1, §4.4) only dots in names are taken, since people
//! write `J. Doe`; no routes, no empty places between commas, no white space within an address.

use crate::cfws::{is_atext, skip};

/// Most mailboxes of a list.
pub const MAX_MAILBOXES: usize = 100;

/// Why a list is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// More than [`MAX_MAILBOXES`].
    #[error("it has more than 100 addresses")]
    TooMany,
    /// A control character, or a line break that folds nothing.
    #[error("it has a control character")]
    Control,
    /// A comment that does not end.
    #[error("a parenthesis is open")]
    Comment,
    /// A quoted string that does not end.
    #[error("a quotation mark is open")]
    Quotes,
    /// A place of the list without an address.
    #[error("an address is missing")]
    NoAddress,
    /// An address that is not well-formed, or has something behind it.
    #[error("an address is not well-formed, or not in angle brackets with a name before it")]
    Address,
    /// Something else, such as a group.
    #[error("it is no list of addresses")]
    Other,
}

/// The addresses of a mailbox-list, in order; at least one. Whether they are well-formed beyond their
/// parts is for [`crate::address::Mailbox::parse`] to say. Each byte is looked at a bounded number of
/// times.
///
/// # Errors
/// It is none; see [`Unclear`].
pub fn mailboxes(value: &[u8]) -> Result<Vec<&str>, Unclear> {
    if !is_unfoldable(value) {
        return Err(Unclear::Control);
    }
    let mut list = List { bytes: value, at: 0 };
    let mut found = Vec::new();
    loop {
        if found.len() == MAX_MAILBOXES {
            return Err(Unclear::TooMany);
        }
        found.push(list.mailbox()?);
        match list.peek() {
            None => return Ok(found),
            Some(b',') => list.at += 1,
            Some(_) => return Err(Unclear::Address),
        }
    }
}

/// No control characters but tabs, and line breaks before white space or at the end.
fn is_unfoldable(value: &[u8]) -> bool {
    let after = |at: usize| value.get(at + 1);
    value.iter().enumerate().all(|(at, byte)| match byte {
        b'\t' => true,
        b'\r' => after(at) == Some(&b'\n'),
        b'\n' => matches!(after(at), None | Some(b' ' | b'\t')),
        byte => !byte.is_ascii_control(),
    })
}

struct List<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> List<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn cfws(&mut self) -> Result<(), Unclear> {
        self.at = skip(self.bytes, self.at).ok_or(Unclear::Comment)?;
        Ok(())
    }

    /// `mailbox`, with the comments and white space around it.
    fn mailbox(&mut self) -> Result<&'a str, Unclear> {
        self.cfws()?;
        let (start, mut words) = (self.at, 0_usize);
        while self.word()? {
            words += 1;
            // Only the very first word is the local part of an address without angle brackets.
            if self.peek() == Some(b'@') && words == 1 {
                return self.domain(start);
            }
            self.cfws()?;
        }
        match self.peek() {
            Some(b'<') => self.angle(),
            None | Some(b',') => Err(Unclear::NoAddress),
            Some(b'@') => Err(Unclear::Address),
            Some(_) => Err(Unclear::Other),
        }
    }

    fn angle(&mut self) -> Result<&'a str, Unclear> {
        self.at += 1;
        self.cfws()?;
        let start = self.at;
        if !self.word()? || self.peek() != Some(b'@') {
            return Err(Unclear::Address);
        }
        let address = self.domain(start)?;
        if self.peek() != Some(b'>') {
            return Err(Unclear::Address);
        }
        self.at += 1;
        self.cfws()?;
        Ok(address)
    }

    /// The `@` and what follows it, to the end of white space and comments behind: the address that
    /// began at `start`.
    fn domain(&mut self, start: usize) -> Result<&'a str, Unclear> {
        self.at += 1;
        let begin = self.at;
        if self.peek() == Some(b'[') {
            // RFC 5322 §3.4.1, dtext: anything in ASCII that can be seen, but for brackets and backslash.
            let is_dtext = |byte: &u8| byte.is_ascii_graphic() && !b"[]\\".contains(byte);
            self.at += 1 + self.bytes[self.at + 1..].iter().take_while(|byte| is_dtext(byte)).count();
            if self.peek() != Some(b']') {
                return Err(Unclear::Address);
            }
            self.at += 1;
        } else {
            self.atoms();
        }
        let address = str::from_utf8(&self.bytes[start..self.at]).map_err(|_| Unclear::Address)?;
        if self.at == begin {
            return Err(Unclear::Address);
        }
        self.cfws()?;
        Ok(address)
    }

    /// Atoms and dots, or a quoted string. False: neither stands there.
    fn word(&mut self) -> Result<bool, Unclear> {
        if self.peek() != Some(b'"') {
            return Ok(self.atoms());
        }
        self.at += 1;
        loop {
            match self.peek().ok_or(Unclear::Quotes)? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(true)
    }

    /// A name may have bytes that are no UTF-8, as old programs write it: what they are in ASCII, no
    /// reader can see in them.
    fn atoms(&mut self) -> bool {
        let is_part = |byte: &u8| is_atext(*byte) || *byte == b'.';
        let len = self.bytes[self.at..].iter().take_while(|byte| is_part(byte)).count();
        self.at += len;
        len > 0
    }
}

#[cfg(test)]
mod tests;
