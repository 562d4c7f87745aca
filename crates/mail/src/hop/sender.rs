//! The comment on the sender: `(name [192.0.2.1])`, `([192.0.2.1]:25 helo=x ident=y)`, `(HELO x)`,
//! `(account jane [192.0.2.1])`, `(192.0.2.1, HELO x)`, and all between.

use super::Word;
use super::clauses::{Clause, Reader, bare};
use super::lexer::{bracket_len, is_space, nested_len};
use super::tls;

/// What the next piece is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Any,
    Helo,
    /// The name of who proved to be it.
    User,
    /// How it was proved.
    Mechanism,
    Port,
    Nothing,
}

/// Takes in such a comment piece by piece.
pub(super) fn read<'a>(reader: &mut Reader<'a>, text: &'a [u8]) {
    let mut pieces = Pieces { text, at: 0, no_close: false };
    let (mut want, mut name) = (Want::Any, None);
    while let Some(piece) = pieces.next() {
        // Courier: `(AUTH: LOGIN jane, TLS: TLS1.3, 128bits, CIPHER)`
        if piece.eq_ignore_ascii_case(b"tls:") {
            super::comment::encryption(reader, &text[pieces.at..]);
            break;
        }
        want = match want {
            Want::Any => any(reader, piece, &mut name),
            Want::Helo => {
                reader.take_helo(bare(piece));
                Want::Any
            }
            Want::User => user(reader, piece),
            Want::Mechanism if is_mechanism(piece) => Want::User,
            Want::Mechanism => user(reader, piece),
            Want::Port => {
                reader.hop.port = std::str::from_utf8(piece).ok().and_then(|t| t.parse().ok());
                Want::Any
            }
            Want::Nothing => Want::Any,
        };
    }
    if let Some(name) = name {
        lone_name(reader, name);
    }
}

fn any<'a>(reader: &mut Reader<'a>, piece: &'a [u8], name: &mut Option<&'a [u8]>) -> Want {
    if piece[0] == b'[' {
        return bracket(reader, piece, name);
    }
    if let Some(inside) = piece.strip_prefix(b"\"") {
        // vger: `"EHLO x"`
        let mut words = inside.strip_suffix(b"\"").unwrap_or(inside).splitn(2, |b| is_space(*b));
        match (words.next().map(is_hello), words.next()) {
            (Some(true), Some(helo)) => reader.take_helo(helo.trim_ascii()),
            (Some(true), None) => {}
            _ => reader.unknown(piece),
        }
        return Want::Any;
    }
    if let Some(want) = known(reader, piece) {
        return want;
    }
    if reader.take_ip(piece.strip_prefix(b"/").unwrap_or(piece)) {
        return Want::Any;
    }
    if memchr::memchr(b'@', piece).is_some() {
        ident(reader, piece);
        return Want::Any;
    }
    match name {
        None => *name = Some(piece),
        Some(_) => reader.unknown(piece),
    }
    Want::Any
}

fn bracket<'a>(reader: &mut Reader<'a>, piece: &'a [u8], name: &mut Option<&'a [u8]>) -> Want {
    if reader.take_ip(piece) {
        if let Some(name) = name.take() {
            found_name(reader, bare(name));
        }
    } else if memchr::memchr(b'@', piece).is_some() {
        reader.unknown(piece);
    }
    // What remains is `[local]`, `[unix socket]`, `[?.?.?.?]`: no address, and it says so.
    Want::Any
}

/// Words that mean the same wherever they stand in the comment.
fn known<'a>(reader: &mut Reader<'a>, piece: &'a [u8]) -> Option<Want> {
    if let Some(at) = memchr::memchr2(b'=', b':', piece) {
        return pair(reader, &piece[..at], piece[at], &piece[at + 1..]);
    }
    let want = match piece.len() {
        4 if is_hello(piece) => {
            reader.seen.helo = true;
            Want::Helo
        }
        4 if piece == b"with" => {
            // Yahoo: `(jane@192.0.2.1 with plain)`
            reader.hop.authenticated = reader.hop.authenticated.or(reader.hop.ident.map(local_part));
            Want::Nothing
        }
        13 if piece.eq_ignore_ascii_case(b"authenticated") => Want::User,
        7 if piece == b"account" => Want::User,
        9 if piece == b"smtp-auth" => Want::User,
        9 if piece == b"mechanism" => Want::Nothing,
        4 if piece.eq_ignore_ascii_case(b"port") => Want::Port,
        3 if piece == b"uid" => {
            reader.seen.local = true;
            Want::Nothing
        }
        4 if piece.eq_ignore_ascii_case(b"RDNS") || piece == b"mail" => Want::Any,
        2 | 6 if matches!(piece, b"be" | b"forged" | b"failed") => Want::Any,
        3 | 5 if matches!(piece, b"may" | b"local" | b"Not" | b"not") => Want::Any,
        7 | 8 | 10
            if matches!(piece, b"unknown" | b"verified" | b"Verified" | b"unverified" | b"softdnserr") =>
        {
            Want::Any
        }
        _ if piece.starts_with(b"rhost-flags-") => {
            super::software::set(reader, b"ZMailer", None);
            Want::Any
        }
        _ => return None,
    };
    Some(want)
}

/// `helo=x`, `ident=x`, `port=x`, `user=x`, `IDENT:x`, `AUTH:`; None: some other thing, such as an
/// address of IPv6.
fn pair<'a>(reader: &mut Reader<'a>, key: &[u8], mark: u8, value: &'a [u8]) -> Option<Want> {
    let is = |name: &[u8]| key.eq_ignore_ascii_case(name);
    if is(b"helo") {
        reader.take_helo(bare(value));
    } else if is(b"ident") {
        ident(reader, value);
    } else if is(b"port") {
        reader.hop.port = std::str::from_utf8(value).ok().and_then(|t| t.parse().ok());
    } else if is(b"user") || is(b"auth") || is(b"authenticated-user") || is(b"sender") {
        if !value.is_empty() {
            user(reader, value);
        } else if is(b"auth") {
            return Some(Want::Mechanism);
        } else {
            return Some(Want::User);
        }
    } else if is(b"bits") || is(b"mech") || is(b"envelope-from") || is(b"mailfrom") || is(b"fp") {
        // Nothing that we keep.
    } else if mark == b'=' && reader.clause == Clause::From && key.is_empty() {
        reader.unknown(value);
    } else {
        return None;
    }
    Some(Want::Any)
}

/// The name of a user, or a word on the way to it.
fn user<'a>(reader: &mut Reader<'a>, piece: &'a [u8]) -> Want {
    let filler: [&[u8]; 7] = [b"sender:", b"sender", b"user", b"user:", b"as", b"by", b"username"];
    if filler.iter().any(|word| piece.eq_ignore_ascii_case(word)) {
        return Want::User;
    }
    if piece.starts_with(b"bits=") || reader.hop.authenticated.is_some() {
        return Want::Any;
    }
    reader.hop.authenticated = Some(Word(bare(piece)));
    Want::Any
}

/// `CRAM-MD5`, `LOGIN`, `PLAIN`: capitals, digits and hyphens.
fn is_mechanism(piece: &[u8]) -> bool {
    piece.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'-')
}

fn is_hello(word: &[u8]) -> bool {
    [b"EHLO", b"HELO", b"LHLO"].iter().any(|hello| word.eq_ignore_ascii_case(*hello))
}

/// `user@host`, `user@192.0.2.1`, or `user@` before an address in brackets.
fn ident<'a>(reader: &mut Reader<'a>, piece: &'a [u8]) {
    let whole = piece.strip_suffix(b"@").unwrap_or(piece);
    if reader.hop.ident.is_none() && !whole.is_empty() {
        reader.hop.ident = Some(Word(whole));
    }
    if reader.clause == Clause::Start {
        // `(majordomo@vger.kernel.org) by …`
        reader.seen.expanded |= whole.get(..9).is_some_and(|b| b.eq_ignore_ascii_case(b"majordomo"));
        return;
    }
    if let Some(at) = memchr::memrchr(b'@', whole) {
        let host = &whole[at + 1..];
        if !reader.take_ip(host) {
            found_name(reader, host);
        }
    }
}

fn local_part(address: Word<'_>) -> Word<'_> {
    Word(memchr::memrchr(b'@', address.0).map_or(address.0, |at| &address.0[..at]))
}

/// The name that was looked up; an address in its place, or `unknown`, is none.
fn found_name<'a>(reader: &mut Reader<'a>, name: &'a [u8]) {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_address = name.last().is_some_and(u8::is_ascii_digit) && super::ip::read(name).is_some();
    if reader.hop.rdns.is_none() && !name.is_empty() && !is_address && name != b"unknown" {
        reader.hop.rdns = Some(Word(name));
    }
}

/// A name without an address in brackets behind it: a host's if it has a dot; else a note, as of
/// an interface, an account, the same name again.
fn lone_name<'a>(reader: &mut Reader<'a>, name: &'a [u8]) {
    let name = bare(name);
    let in_host = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_host = name.iter().all(in_host);
    if is_host && memchr::memchr(b'.', name).is_some() {
        found_name(reader, name);
    } else if !is_host && tls::version_of(name).is_none() {
        reader.unknown(name);
    }
}

/// The pieces of a comment: words, `[…]` with what follows it, quoted strings; nested comments are
/// left out.
struct Pieces<'a> {
    text: &'a [u8],
    at: usize,
    /// A parenthesis was not closed; no further one is, so none is searched for again.
    no_close: bool,
}

impl<'a> Pieces<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            match self.text.get(self.at)? {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b')' => self.at += 1,
                b'(' => {
                    self.at += 1;
                    if !self.no_close {
                        let len = nested_len(&self.text[self.at..]);
                        self.no_close = len.is_none();
                        self.at += len.unwrap_or(0);
                    }
                }
                _ => break,
            }
        }
        let start = self.at;
        if self.text[start] == b'"'
            && let Some(len) = memchr::memchr(b'"', &self.text[start + 1..])
        {
            self.at = start + len + 2;
            return Some(&self.text[start..self.at]);
        }
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b'(' | b')' => break,
                // `name[192.0.2.1]` is two, `helo=[192.0.2.1]` and `[192.0.2.1]:25` are one.
                b'[' if self.at > start && self.text[self.at - 1] != b'=' => break,
                b'[' => self.at += bracket_len(&self.text[self.at..]).unwrap_or(1),
                _ => self.at += 1,
            }
        }
        Some(&self.text[start..self.at])
    }
}
