//! ENVID and ORCPT (RFC 3461 §4.2, §4.4): checked, and kept as given, since they go on as given and
//! stand in reports.

/// Longest ENVID as given: a hundred characters, each of which may be encoded. A longer one is
/// refused.
pub const MAX_ENVID_BYTES: usize = 300;
/// Longest ORCPT as given, by which RFC 3461 lengthens RCPT. A longer one is refused: the client
/// session would not pass it on.
pub const MAX_ORCPT_BYTES: usize = 500;

/// The value of ENVID: xtext of printable ASCII (RFC 3461 §4.4).
pub(crate) fn envid(value: &[u8]) -> Option<String> {
    if value.is_empty() || value.len() > MAX_ENVID_BYTES {
        return None;
    }
    is_xtext(value).then(|| text(value)).flatten()
}

/// The value of ORCPT: a type of addresses, and an address in xtext (RFC 3461 §4.2). An address of
/// type `utf-8` may stand there unencoded (RFC 6533 §3, `utf-8-addr-unitext`).
pub(crate) fn orcpt(value: &[u8]) -> Option<String> {
    let kind = value.iter().position(|b| *b == b';')?;
    let (kind, address) = (&value[..kind], &value[kind + 1..]);
    if kind.is_empty() || address.is_empty() || value.len() > MAX_ORCPT_BYTES {
        return None;
    }
    let is_atom = kind.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*-/?^_`{|}~".contains(b));
    let plain = kind.eq_ignore_ascii_case(b"utf-8") && !address.is_ascii() && is_unitext(address);
    (is_atom && (plain || is_xtext(address))).then(|| text(value)).flatten()
}

/// The value of AUTH in MAIL: a mailbox in xtext, or `<>` (RFC 4954 §5), of at most 500 bytes.
pub(crate) fn is_auth(value: &[u8]) -> bool {
    value == b"<>" || (!value.is_empty() && value.len() <= 500 && is_xtext(value))
}

/// Printable ASCII without space, `+` and `=`; these and nothing but printable ASCII may stand
/// there as `+` and two digits. Digits in lower case are let through: real senders write them.
fn is_xtext(value: &[u8]) -> bool {
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'+' => {
                let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                high.zip(low).is_some_and(|(high, low)| (0x20..0x7f).contains(&(high * 16 + low)))
            }
            b'=' => false,
            byte => byte.is_ascii_graphic(),
        };
        if !good {
            return false;
        }
    }
    true
}

/// RFC 6533 §3: UTF-8 beside printable ASCII without `+`, `=` and `\`.
fn is_unitext(value: &[u8]) -> bool {
    let plain = |c: char| match c.is_ascii() {
        true => c.is_ascii_graphic() && !"+=\\".contains(c),
        false => !c.is_control(),
    };
    str::from_utf8(value).is_ok_and(|text| text.chars().all(plain))
}

fn text(value: &[u8]) -> Option<String> {
    str::from_utf8(value).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn envelope_ids() {
        let long = "x".repeat(MAX_ENVID_BYTES + 1);
        for good in ["QQ314159", "hi+20there", "a+2Bb", "a+3db", "+20", &long[1..]] {
            assert_eq!(envid(good.as_bytes()).as_deref(), Some(good));
        }
        for bad in ["", "+", "a+2", "a+zz", "a=b", "a+0D+0Ab", "a+7F", "a+E4", "\u{e4}", "a b", "a\tb", &long]
        {
            assert_eq!(envid(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn original_recipients() {
        let long = format!("rfc822;{}", "x".repeat(MAX_ORCPT_BYTES - 6));
        for good in [
            "rfc822;jane@firm.example",
            "RFC822;jane+2Bx@firm.example",
            "x400;/C+3DDE/",
            "utf-8;j\\x{E4}ne@firm.example",
            "utf-8;j\u{e4}ne@b\u{fc}cher.example",
            "rfc822;a;b",
        ] {
            assert_eq!(orcpt(good.as_bytes()).as_deref(), Some(good));
        }
        for bad in [
            "",
            "rfc822",
            "rfc822;",
            ";a@b",
            "rfc 822;a@b",
            "rfc822;a+@b",
            "rfc822;a=b",
            "rfc822;j\u{e4}ne@b",
            "utf-8;j\u{e4}n\u{85}e@b",
            "rfc822;a+0Ab",
            &long,
        ] {
            assert_eq!(orcpt(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(orcpt(b"utf-8;\xff@b"), None);
    }

    proptest! {
        #[test]
        fn nothing_taken_can_break_a_line(value in prop::collection::vec(any::<u8>(), 0..40), kind: bool) {
            let value = if kind { [b"utf-8;", &value[..]].concat() } else { value };
            for taken in [envid(&value), orcpt(&value)].into_iter().flatten() {
                prop_assert_eq!(taken.as_bytes(), &value[..]);
                prop_assert!(!taken.chars().any(|c| c.is_control() || c == ' '));
            }
        }
    }
}
