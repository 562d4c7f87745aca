//! The subject, without what answering, forwarding and lists put before it.

use super::words::decoded;

/// Words before a colon that say how a message came about, in many languages, and what gateways
/// put there. `R:` and `RIF:` are Italian, `VS:` Finnish and Danish, `TR:` French, `ODP:` Polish.
const PREFIXES: [&str; 37] = [
    "re",
    "fw",
    "fwd",
    "aw",
    "wg",
    "sv",
    "vs",
    "vb",
    "tr",
    "r",
    "rif",
    "rv",
    "res",
    "enc",
    "antw",
    "antwort",
    "odp",
    "pd",
    "ynt",
    "ilt",
    "ref",
    "doorst",
    "automated response",
    "automated reply",
    "automatic reply",
    "auto reply",
    "auto-reply",
    "autoreply",
    "automatische antwort",
    "automatisch antwoord",
    "r\u{e9}ponse automatique",
    "risposta automatica",
    "out of office",
    "external",
    "extern",
    "ext",
    "spam",
];
/// Those of them that say that it is an answer.
const REPLIES: [&str; 11] = ["re", "aw", "sv", "vs", "r", "rif", "res", "antw", "antwort", "odp", "ynt"];
/// Those that say that it was forwarded.
const FORWARDS: [&str; 10] = ["fw", "fwd", "wg", "vb", "tr", "rv", "enc", "pd", "ilt", "doorst"];
/// Longest such word, or tag, in bytes.
const MAX_MARK_BYTES: usize = 80;
/// Words in a tag that say which message it is: `[PATCH v2]` is not the name of a list.
const MEANT: [&str; 4] = ["patch", "rfc", "resend", "pull"];

/// 64 bits for the sieve and for words: fast, well mixed, and no secret. Who finds two subjects
/// with one hash has found two messages that are then compared in full.
#[derive(Clone, Copy)]
pub(crate) struct Hash64(u64);

impl Default for Hash64 {
    fn default() -> Self {
        // The digits of pi.
        Self(0x243f_6a88_85a3_08d3)
    }
}

impl Hash64 {
    pub(crate) fn push(&mut self, byte: u8) {
        self.push_u64(u64::from(byte));
    }

    pub(crate) fn push_u64(&mut self, block: u64) {
        self.0 = (self.0 ^ block).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    /// The finishing steps of MurmurHash3's 64-bit mixer (public domain, Austin Appleby).
    pub(crate) fn finish(self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ hash >> 33
    }
}

/// Hands the normalised subject to `out`: encoded words decoded, prefixes and list tags stripped,
/// white space made one space, lower case. False: it says nothing.
pub(super) fn normal(value: &[u8], mut out: impl FnMut(u8)) -> bool {
    let text = decoded(value);
    let mut any = false;
    for word in stripped(&text).split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if any {
            out(b' ');
        }
        any = true;
        lower(word, &mut out);
    }
    any
}

fn lower(word: &str, out: &mut impl FnMut(u8)) {
    if word.is_ascii() {
        return word.bytes().for_each(|byte| out(byte.to_ascii_lowercase()));
    }
    let mut buffer = [0; 4];
    for c in word.chars().flat_map(char::to_lowercase) {
        c.encode_utf8(&mut buffer).bytes().for_each(&mut *out);
    }
}

/// Whether the subject says that the message is an answer: the outermost prefix that says how it came
/// about does. `Fwd: Re: x` is no answer, `[list] Re: Fwd: x` is one.
pub(crate) fn is_answer(value: &[u8]) -> bool {
    let text = decoded(value);
    let mut rest = text.trim_start();
    loop {
        if let Some((word, shorter)) = prefix(rest) {
            let is_one_of =
                |all: &[&str]| all.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
            if is_one_of(&REPLIES) || is_one_of(&FORWARDS) {
                return is_one_of(&REPLIES);
            }
            rest = shorter.trim_start();
        } else if let Some(shorter) = after_tag(rest).or_else(|| after_numbered(rest)) {
            rest = shorter.trim_start();
        } else {
            return false;
        }
    }
}

/// Hands what the subject is about to `out`, in lower case: without prefixes, tags, and all that has
/// a digit in it (numbers of tickets, dates, counters). False: nothing is left.
pub(crate) fn topic(value: &[u8], mut out: impl FnMut(u8)) -> bool {
    let text = decoded(value);
    let (mut rest, mut any) = (text.trim_start(), false);
    while !rest.is_empty() {
        // A number may stand before the prefixes that others put there.
        let mark = if any { None } else { after_prefix(rest).or_else(|| after_tag(rest)) };
        if let Some(shorter) = mark.or_else(|| after_numbered(rest)) {
            rest = shorter.trim_start();
            continue;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = rest[..end].trim_matches(|c: char| !c.is_alphanumeric());
        rest = rest[end..].trim_start();
        if word.is_empty() || word.contains(char::is_numeric) {
            continue;
        }
        if any {
            out(b' ');
        }
        any = true;
        lower(word, &mut out);
    }
    any
}

/// What follows brackets with a digit in them: `[Ticket #41]`, `(case 7)`.
fn after_numbered(subject: &str) -> Option<&str> {
    let bytes = subject.as_bytes();
    let close = match bytes.first()? {
        b'[' => b']',
        b'(' => b')',
        b'{' => b'}',
        b'<' => b'>',
        _ => return None,
    };
    let len = bytes.iter().take(MAX_MARK_BYTES).position(|b| *b == close)?;
    bytes[..len].iter().any(u8::is_ascii_digit).then(|| &subject[len + 1..])
}

/// The subject without prefixes and tags, as often as they stand there.
fn stripped(subject: &str) -> &str {
    let mut rest = subject.trim_start();
    while let Some(shorter) = after_prefix(rest).or_else(|| after_tag(rest)) {
        rest = shorter.trim_start();
    }
    rest
}

/// What follows `Re:`, `AW[2]:`, `Automatic reply:` and the like.
fn after_prefix(subject: &str) -> Option<&str> {
    prefix(subject).map(|(_, rest)| rest)
}

/// Such a prefix, without counter and colon, and what follows it.
fn prefix(subject: &str) -> Option<(&[u8], &str)> {
    let bytes = subject.as_bytes();
    let colon = bytes.iter().take(MAX_MARK_BYTES).position(|b| *b == b':')?;
    let mut word = bytes[..colon].trim_ascii_end();
    // Counters: Re[2]:, Re(2):, Re^2:
    if word.last().is_some_and(|b| matches!(b, b']' | b')') || b.is_ascii_digit())
        && let Some(start) = word.iter().position(|b| matches!(b, b'[' | b'(' | b'^'))
        && word[start..].iter().all(|b| b.is_ascii_digit() || b"[]()^".contains(b))
    {
        word = word[..start].trim_ascii_end();
    }
    let known = PREFIXES.iter().any(|prefix| word.eq_ignore_ascii_case(prefix.as_bytes()));
    known.then(|| (word, &subject[colon + 1..]))
}

/// What follows `[list]`, `{Spam?}` or `***EXTERN***`. None: there is no tag, it says which message
/// this is, or it is the whole subject.
fn after_tag(subject: &str) -> Option<&str> {
    let bytes = subject.as_bytes();
    let close = match bytes.first()? {
        b'[' => b']',
        b'{' => b'}',
        b'*' => b'*',
        _ => return None,
    };
    let is_star = |b: &u8| *b == b'*';
    let start = if close == b'*' { bytes.iter().take_while(|b| is_star(b)).count() } else { 1 };
    let inner = &bytes[start..bytes.len().min(start + MAX_MARK_BYTES)];
    let len = inner.iter().position(|b| *b == close)?;
    let mut end = start + len + 1;
    while close == b'*' && bytes.get(end).is_some_and(is_star) {
        end += 1;
    }
    let rest = &subject[end..];
    (!is_meant(&inner[..len]) && !rest.trim().is_empty()).then_some(rest)
}

/// Whether a tag says which message this is: a number of its own, or a version, stands in it. One that ends
/// in a number behind a hyphen is a list's name (`law-29`).
fn is_meant(tag: &[u8]) -> bool {
    let number = tag.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let name = &tag[..tag.len() - number];
    let is_name =
        name.len() > 1 && name.ends_with(b"-") && name.iter().all(|b| b.is_ascii_lowercase() || *b == b'-');
    let digits = tag.iter().any(u8::is_ascii_digit);
    (digits && !is_name)
        || tag
            .split(|b| !b.is_ascii_alphabetic())
            .any(|word| MEANT.iter().any(|meant| word.eq_ignore_ascii_case(meant.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &[u8]) -> String {
        let mut bytes = Vec::new();
        let any = normal(value, |byte| bytes.push(byte));
        assert_eq!(any, !bytes.is_empty());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_stripped() {
        for subject in [
            " The Figures\r\n",
            "Re: The figures",
            "AW: WG: the  figures",
            "RE[2]: the\r\n\tfigures",
            "Re^3: Fwd: the figures",
            "[list] Re: [EXT] the figures",
            "Re: Re: Re: RE : the figures",
            "Automated response: the figures",
            "R\u{e9}ponse automatique: the figures",
            "***SPAM*** the figures",
            "{Spam?} the figures",
            "EXTERNAL: the figures",
            "=?utf-8?q?Re:_the_figures?=",
            "=?iso-8859-1?B?VGhlIGZpZ3VyZXM=?=",
            "the\u{a0}figures",
        ] {
            assert_eq!(text(subject.as_bytes()), "the figures", "{subject}");
        }
        let both = [&b"=?iso-8859-1?q?=DCbersicht?="[..], b"\xdcbersicht", "\u{dc}BERSICHT".as_bytes()];
        assert!(both.iter().all(|subject| text(subject) == "\u{fc}bersicht"));
    }

    #[test]
    fn answers() {
        for subject in [
            "Re: x",
            "AW: WG: x",
            "RE[2]: x",
            "[list] Re: Fwd: x",
            "sv: x",
            "EXTERN: Antw: x",
            "[Ticket #41] Re: x",
            "=?utf-8?q?Re:_=C3=BC?=",
        ] {
            assert!(is_answer(subject.as_bytes()), "{subject}");
        }
        for subject in
            ["x", "Fwd: Re: x", "TR: x", "Automatic reply: x", "Receipt: x", "[Re: x", "", "x Re: y"]
        {
            assert!(!is_answer(subject.as_bytes()), "{subject}");
        }
    }

    #[test]
    fn topics() {
        for (subject, wanted) in [
            ("Re: [Ticket #41] Re: The printer", "the printer"),
            ("[Ticket#2026112110000041] The printer", "the printer"),
            ("The printer (case 41 of 42)", "the printer"),
            ("AW: The printer - INC0041", "the printer"),
            ("Report of 21.11.2026, 23:00", "report of"),
            ("[PATCH v2 3/5] ide: fix", "ide fix"),
            ("\u{dc}bersicht \u{661}", "\u{fc}bersicht"),
            ("[help]", "help"),
            ("41", ""),
            ("Re: [41] (42) -", ""),
            ("", ""),
        ] {
            let mut bytes = Vec::new();
            let any = topic(subject.as_bytes(), |byte| bytes.push(byte));
            assert_eq!(String::from_utf8(bytes).unwrap(), wanted, "{subject}");
            assert_eq!(any, !wanted.is_empty());
        }
    }

    #[test]
    fn what_stays() {
        for (subject, wanted) in [
            ("[PATCH v2] x", "[patch v2] x"),
            ("[EXT] Re: [PATCH 2/5] x", "[patch 2/5] x"),
            ("[RFC PATCH] x", "[rfc patch] x"),
            ("[Ticket #41] x", "[ticket #41] x"),
            ("[help]", "[help]"),
            ("[EXT] [help]", "[help]"),
            ("Receipt: x", "receipt: x"),
            ("Re2d2: x", "re2d2: x"),
            ("[open", "[open"),
            ("Re:", ""),
            ("", ""),
        ] {
            assert_eq!(text(subject.as_bytes()), wanted, "{subject}");
        }
    }
}
