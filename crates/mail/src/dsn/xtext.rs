//! Undoing xtext (RFC 3461 §4) and the forms of UTF-8 addresses (RFC 6533 §3).

/// `value` with each `+XX` undone. What comes out may be any bytes; those that are no UTF-8 become
/// U+FFFD. A `+` without two hexadecimal digits stays as it is.
pub fn decode(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match after.split_at_checked(2).and_then(|(digits, left)| Some((byte(digits)?, left))) {
            Some((byte, left)) if *first == b'+' => {
                out.push(byte);
                rest = left;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn byte(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok().filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}

/// `address` with each `\x{HEX}` undone (utf-8-addr-xtext, utf-8-addr-unitext). What is no such
/// form, and what stands for no character, stays as it is.
pub fn decode_embedded(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    let mut rest = address;
    while let Some(at) = rest.find("\\x{") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.find('}').filter(|end| (4..=9).contains(end));
        let found = end.and_then(|end| Some((point(&from[3..end])?, &from[end + 1..])));
        let (c, left) = found.unwrap_or(('\\', &from[1..]));
        out.push(c);
        rest = left;
    }
    out + rest
}

fn point(digits: &str) -> Option<char> {
    let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| hex).and_then(char::from_u32)
}

/// `address` as utf-8-addr-unitext in ASCII: the form for a `message/delivery-status` part.
pub fn encode_embedded(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '!'..='~' if !"+=\\".contains(c) => out.push(c),
            c => out += &format!("\\x{{{:02X}}}", u32::from(c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn xtext() {
        for (given, wanted) in [
            ("abc", "abc"),
            ("a+2Bb+3Dc", "a+b=c"),
            ("+", "+"),
            ("+4", "+4"),
            ("+4G+41", "+4GA"),
            ("++41", "+A"),
            ("+C3+BC", "ü"),
            ("+FF", "\u{fffd}"),
            ("+0D+0A", "\r\n"),
            ("ü+41", "üA"),
        ] {
            assert_eq!(decode(given), wanted, "{given}");
        }
    }

    #[test]
    fn embedded_characters() {
        for (given, wanted) in [
            ("gr\\x{FC}n@x", "grün@x"),
            ("\\x{1F600}", "😀"),
            ("\\x{D800}", "\\x{D800}"),
            ("\\x{}", "\\x{}"),
            ("\\x{1234567}", "\\x{1234567}"),
            ("\\x{+C}", "\\x{+C}"),
            ("\\x{5C", "\\x{5C"),
        ] {
            assert_eq!(decode_embedded(given), wanted, "{given}");
        }
        assert_eq!(encode_embedded("gr\u{fc}n+a@x"), "gr\\x{FC}n\\x{2B}a@x");
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(address: String) {
            let encoded = encode_embedded(&address);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(decode_embedded(&encoded), address);
        }

        #[test]
        fn any_text_is_taken(text in "(\\+[0-9A-F]{0,2}|\\\\x\\{[0-9a-f]{0,7}\\}?|.)*") {
            decode(&text);
            decode_embedded(&text);
        }
    }
}
