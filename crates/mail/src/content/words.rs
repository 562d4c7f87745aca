//! Encoded words (RFC 2047), and what names a thread.

use std::borrow::Cow;

use memchr::{memchr, memmem, memrchr};

use super::decode;

/// Longest id of a list (RFC 2919 §3); the rest of a longer one counts for nothing.
pub const MAX_LIST_ID_BYTES: usize = 255;

/// The text of an unstructured field. Plain ASCII without encoded words is lent; raw bytes above
/// 127 are UTF-8, or else windows-1252. The caller bounds the length.
pub(crate) fn decoded(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) if memmem::find(value, b"=?").is_none() => return Cow::Borrowed(text),
        _ => {}
    }
    let mut writer = Writer::default();
    let mut rest = value;
    while let Some(start) = memmem::find(rest, b"=?") {
        let Some((word, len)) = Word::read(&rest[start..]) else {
            writer.plain(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        // White space between two encoded words is there for folding only (RFC 2047 §6.2).
        if writer.charset.is_none() || !rest[..start].trim_ascii().is_empty() {
            writer.plain(&rest[..start]);
        }
        writer.word(&word);
        rest = &rest[start + len..];
    }
    writer.plain(rest);
    Cow::Owned(writer.text)
}

/// One encoded word.
struct Word<'a> {
    charset: &'a [u8],
    bytes: Vec<u8>,
}

impl<'a> Word<'a> {
    /// The encoded word at the start of `text`, and its length.
    fn read(text: &'a [u8]) -> Option<(Self, usize)> {
        let after_charset = memchr(b'?', &text[2..])? + 2;
        let charset = &text[2..after_charset];
        let [encoding, b'?', payload @ ..] = &text[after_charset + 1..] else { return None };
        let end = memmem::find(payload, b"?=")?;
        let bytes = match encoding {
            b'q' | b'Q' => q_decoded(&payload[..end]),
            b'b' | b'B' => decode::base64(&payload[..end]),
            _ => return None,
        };
        // RFC 2231 §5: a language may stand behind the charset.
        let charset = charset.split(|b| *b == b'*').next().unwrap_or_default();
        Some((Self { charset, bytes }, after_charset + 3 + end + 2))
    }
}

/// Puts the pieces together. Words of one charset that stand side by side are decoded as one: some
/// senders cut between the bytes of a character.
#[derive(Default)]
struct Writer<'a> {
    text: String,
    charset: Option<&'a [u8]>,
    bytes: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn word(&mut self, word: &Word<'a>) {
        if !self.charset.is_some_and(|charset| charset.eq_ignore_ascii_case(word.charset)) {
            self.flush();
        }
        self.charset = Some(word.charset);
        self.bytes.extend_from_slice(&word.bytes);
    }

    fn plain(&mut self, bytes: &[u8]) {
        self.flush();
        if !bytes.is_empty() {
            self.text.push_str(&decode::charset(bytes, b""));
        }
    }

    fn flush(&mut self) {
        if let Some(charset) = self.charset.take() {
            self.text.push_str(&decode::charset(&self.bytes, charset));
            self.bytes.clear();
        }
    }
}

/// The Q encoding (RFC 2047 §4.2); an escape that is none stands for itself.
fn q_decoded(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len());
    let mut at = 0;
    while let Some(byte) = payload.get(at) {
        let hex = |at: usize| payload.get(at).and_then(|b| char::from(*b).to_digit(16));
        at += 1;
        match (byte, hex(at), hex(at + 1)) {
            (b'_', ..) => bytes.push(b' '),
            (b'=', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            _ => bytes.push(*byte),
        }
    }
    bytes
}

/// Hands the message ids in these fields (In-Reply-To, References) to `out`, with a mark between.
/// Phrases beside them are passed over: old programs write the author's name and the date there.
pub(super) fn ids(values: &[&[u8]], mut out: impl FnMut(u8)) {
    for value in values {
        let mut rest = *value;
        while let Some(start) = memchr(b'<', rest) {
            let Some(len) = memchr(b'>', &rest[start..]) else { break };
            let id = &rest[start + 1..start + len];
            id.iter().filter(|b| !b.is_ascii_whitespace()).for_each(|b| out(*b));
            out(b'>');
            rest = &rest[start + len..];
        }
        out(b'\n');
    }
}

/// The id of a List-Id (RFC 2919 §2), what stands in its angle brackets; without them, as old programs
/// write it, all of it. In lower case, without white space, at most [`MAX_LIST_ID_BYTES`] of it; empty:
/// it names none.
pub(crate) fn list_id(value: &[u8]) -> String {
    let open = memrchr(b'<', value).map_or(0, |at| at + 1);
    let id = &value[open..];
    let id = &id[..memchr(b'>', id).unwrap_or(id.len())];
    let id: Vec<u8> =
        id.iter().filter(|b| !b.is_ascii_whitespace()).take(MAX_LIST_ID_BYTES).copied().collect();
    let mut id = String::from_utf8_lossy(&id).to_lowercase();
    while id.len() > MAX_LIST_ID_BYTES {
        id.pop();
    }
    id
}

/// What names the conversation in a Thread-Index: its first 22 bytes. None: it is absent, or too
/// short to name one.
pub(crate) fn conversation(value: &[u8]) -> Option<[u8; 22]> {
    let value = value.trim_ascii();
    let bytes = decode::base64(&value[..value.len().min(256)]);
    bytes.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words() {
        for (value, wanted) in [
            ("plain", "plain"),
            ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Gr\u{fc}\u{df}e"),
            ("=?ISO-8859-1?Q?Gr=FC=DFe_x?= y", "Gr\u{fc}\u{df}e x y"),
            ("=?utf-8?B?R3LDvMOfZQ==?=", "Gr\u{fc}\u{df}e"),
            ("=?utf-8*de?q?a?=\r\n =?utf-8?q?b?=", "ab"),
            ("=?utf-8?q?Gr=C3?= =?UTF-8?q?=BC?=n", "Gr\u{fc}n"),
            ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
            ("=?utf-8?q?a=ZZ?=", "a=ZZ"),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?open", "=?utf-8?q?open"),
            ("=?", "=?"),
            ("=??q?a?=", "a"),
        ] {
            assert_eq!(decoded(value.as_bytes()), wanted, "{value}");
        }
        assert_eq!(decoded(b"Gr\xfc\xdfe"), "Gr\u{fc}\u{df}e");
        assert!(matches!(decoded("Gr\u{fc}n".as_bytes()), Cow::Borrowed(_)));
    }

    #[test]
    fn lists() {
        for (value, wanted) in [
            (" Friends of <Mail> <Friends.Lists.\r\n\tExample>\r\n", "friends.lists.example"),
            ("<a.example>", "a.example"),
            (" a.example\r\n", "a.example"),
            ("<a.example", "a.example"),
            ("\u{c4}.example", "\u{e4}.example"),
            ("x <>", ""),
            ("", ""),
        ] {
            assert_eq!(list_id(value.as_bytes()), wanted, "{value}");
        }
        assert_eq!(list_id(&b"a".repeat(999)).len(), MAX_LIST_ID_BYTES);
        assert!(list_id(&b"\xff".repeat(999)).len() <= MAX_LIST_ID_BYTES);
    }

    #[test]
    fn threads() {
        let all = |values: &[&[u8]]| {
            let mut bytes = Vec::new();
            ids(values, |byte| bytes.push(byte));
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(all(&[b" <a@b>\r\n", b"<c@\r\n d> x <e@f"]), "a@b>\nc@d>\n");
        assert_eq!(all(&[b"message of today from Jane", b""]), "\n\n");
        let first = conversation(b" AdRkAAAAAAAAAAAAAAAAAAAAAAAAAA==\r\n");
        let reply = conversation(b"AdRkAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB");
        assert!(first.is_some() && first == reply && conversation(b"AdRk").is_none());
    }
}
